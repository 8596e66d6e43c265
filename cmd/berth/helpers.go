package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The names by which berth is called as a helper of other programs.
const (
	helperName      = "berth"
	dockerHelper    = "docker-credential-" + helperName
	kubeletProvider = "berth-credential-provider"
)

// helperCalled is the helper that the program is called as, or nil.
func helperCalled(program string) func(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	switch strings.TrimSuffix(filepath.Base(program), ".exe") {
	case dockerHelper:
		return runDockerHelper
	case kubeletProvider:
		return runKubeletProvider
	}
	return nil
}

// installHelpers links the names of helpers to this program.
func installHelpers(out, errOut io.Writer, dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return err
	}
	for _, name := range []string{dockerHelper, kubeletProvider} {
		path := filepath.Join(dir, name)
		if err := link(self, path); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s -> %s\n", path, self)
	}
	if _, err := exec.LookPath(dockerHelper); err != nil {
		fmt.Fprintf(errOut, "%s is not on the PATH: docker will not find its helper there\n", dir)
	}
	return nil
}

// link makes a symbolic link in the place of an older one, and of nothing else.
func link(to, path string) error {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	err := os.Symlink(to, path)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there and is no link; it is left as it is", path)
	}
	return err
}
