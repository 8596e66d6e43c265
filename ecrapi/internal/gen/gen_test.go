package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	modelFile   = "../../model/ecr-2015-09-21.json"
	shapeFolder = "../../shape"
)

// TestCommittedFilesAreCurrent fails when the model or the generator was
// changed and package shape was not generated again.
func TestCommittedFilesAreCurrent(t *testing.T) {
	model, err := os.ReadFile(modelFile)
	if err != nil {
		t.Fatal(err)
	}
	want, err := generate(model)
	if err != nil {
		t.Fatal(err)
	}
	for name, source := range want {
		got, err := os.ReadFile(filepath.Join(shapeFolder, name))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(string(source), string(got)); diff != "" {
			t.Errorf("%s is not what the generator makes (run make generate):\n%s", name, diff)
		}
	}
	if left := generatedOthers(t, want); len(left) > 0 {
		t.Errorf("files that the generator does not make any more: %v", left)
	}
}

func TestOutlineIsCurrent(t *testing.T) {
	source, err := os.ReadFile(modelFile)
	if err != nil {
		t.Fatal(err)
	}
	m, err := parse(source)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile("../../model/outline.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := changes(splitLines(kept), m.outline()); len(diff) > 0 {
		t.Errorf("the outline is not the model's (run make generate):\n%s", strings.Join(diff, "\n"))
	}
}

func TestChanges(t *testing.T) {
	outline := func(source string) []string {
		m, err := parse([]byte(source))
		if err != nil {
			t.Fatal(err)
		}
		return m.outline()
	}
	before := outline(`{"operations":{"A":{"errors":["E"]}},"exceptions":{"E":{"httpStatus":400}},"shapes":{
		"S":{"type":"structure","members":{"m":{"shape":"T","type":"string","max":3}}},"T":{"type":"string","max":3}}}`)
	after := outline(`{"operations":{"A":{"errors":[]},"B":{}},"exceptions":{"E":{"httpStatus":400}},"shapes":{
		"S":{"type":"structure","members":{"m":{"shape":"T","type":"string","max":4,"enum":["x"],"required":true}}},"T":{"type":"string","max":4,"enum":["x"]}}}`)
	want := []string{
		"- operation A may fail with E", "+ operation B", "- shape S has m, a T", "+ shape S has m, a T, required",
		"- shape T is at most 3", "+ shape T is at most 4", "+ shape T may be x",
	}
	if diff := cmp.Diff(want, changes(before, after)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// generatedOthers are the generated files that are not among the given ones.
func generatedOthers(t *testing.T, made map[string][]byte) (left []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(shapeFolder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if made[filepath.Base(f)] == nil && strings.HasPrefix(string(b), "// Code generated") {
			left = append(left, f)
		}
	}
	return left
}

func TestNames(t *testing.T) {
	tests := []struct{ got, want string }{
		{fieldName("registryId"), "RegistryID"},
		{fieldName("registryIds"), "RegistryIDs"},
		{fieldName("repositoryUri"), "RepositoryURI"},
		{fieldName("downloadUrl"), "DownloadURL"},
		{fieldName("upstreamRegistryUrl"), "UpstreamRegistryURL"},
		{fieldName("resourceArn"), "ResourceARN"},
		{fieldName("kmsKey"), "KMSKey"},
		{fieldName("Key"), "Key"},
		{fieldName("identity"), "Identity"},
		{valueName("EncryptionType", "KMS_DSSE"), "EncryptionTypeKmsDsse"},
		{valueName("UpstreamRegistry", "ecr-public"), "UpstreamRegistryEcrPublic"},
		{valueName("ImageFailureCode", "ImageNotFound"), "ImageFailureCodeImageNotFound"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}

func TestModelsThatAreRefused(t *testing.T) {
	tests := []struct{ name, model, wrong string }{
		{"not JSON", `{`, "unexpected end"},
		{"missing element", `{"shapes":{"L":{"type":"list","of":"X"}}}`, `no shape "X"`},
		{"missing member", `{"shapes":{"S":{"type":"structure","members":{"m":{"shape":"X"}}}}}`, `no shape "X"`},
		{"member with traits of its own",
			`{"shapes":{"S":{"type":"structure","members":{"m":{"shape":"T","type":"string","max":3}}},"T":{"type":"string"}}}`,
			"differs from its shape"},
	}
	for _, tt := range tests {
		if _, err := generate([]byte(tt.model)); err == nil || !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.wrong)
		}
	}
}
