package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// suiteModule is the module that the suite is.
const suiteModule = "github.com/opencontainers/distribution-spec/conformance"

// suiteVersion reads from the suite which one it is.
func suiteVersion(suite string) (string, error) {
	info, err := buildinfo.ReadFile(suite)
	if err != nil {
		return "", err
	}
	if info.Main.Path != suiteModule {
		return "", fmt.Errorf("%s is built from %q, not from %s", suite, info.Main.Path, suiteModule)
	}
	return info.Main.Version, nil
}

// examine runs the suite, which leaves its report in dir. A suite that fails
// has its output shown, and so has one that only warns: it warns where it lets
// a registry off that refuses what the specification asks for.
func (s *server) examine(ctx context.Context, suite, dir string) (results, error) {
	password, err := s.password(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for a password: %w", err)
	}
	cmd := exec.CommandContext(ctx, suite)
	cmd.Env = append(os.Environ(), s.settings(password, dir)...)
	out, err := cmd.CombinedOutput()
	if err == nil && bytes.Contains(out, []byte("WARNING")) {
		err = errors.New("it warns")
	}
	if err != nil {
		return nil, fmt.Errorf("the suite: %w\n%s", err, out)
	}
	return readReport(filepath.Join(dir, "junit.xml"))
}

// settings turn on every workflow of the suite, and its test of mounting a blob
// that the client does not say the place of.
func (s *server) settings(password, dir string) []string {
	return []string{
		"OCI_ROOT_URL=" + s.url,
		"OCI_NAMESPACE=conformance/one",
		"OCI_CROSSMOUNT_NAMESPACE=conformance/two",
		"OCI_USERNAME=AWS",
		"OCI_PASSWORD=" + password,
		"OCI_TEST_PULL=1",
		"OCI_TEST_PUSH=1",
		"OCI_TEST_CONTENT_DISCOVERY=1",
		"OCI_TEST_CONTENT_MANAGEMENT=1",
		"OCI_AUTOMATIC_CROSSMOUNT=1",
		"OCI_REPORT_DIR=" + dir,
	}
}
