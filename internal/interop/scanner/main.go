// Scanner is what BuildKit runs for a list of what is in an image: it lists the
// files. It takes where to look and where to write from its environment, as
// BuildKit's protocol for such programs has it.
package main

import (
	"encoding/json"
	"io/fs"
	"log"
	"os"
	"path/filepath"
)

// A statement is the in-toto envelope, without the subject that BuildKit adds.
type statement struct {
	Type          string   `json:"_type"`
	PredicateType string   `json:"predicateType"`
	Predicate     document `json:"predicate"`
}

type document struct {
	SPDXVersion string `json:"spdxVersion"`
	SPDXID      string `json:"SPDXID"`
	Name        string `json:"name"`
	Files       []file `json:"files"`
}

type file struct {
	SPDXID string `json:"SPDXID"`
	Name   string `json:"fileName"`
}

func main() {
	if err := scan(os.Getenv("BUILDKIT_SCAN_SOURCE"), os.Getenv("BUILDKIT_SCAN_DESTINATION")); err != nil {
		log.Fatal(err)
	}
}

func scan(from, to string) error {
	list := document{SPDXVersion: "SPDX-2.3", SPDXID: "SPDXRef-DOCUMENT", Name: filepath.Base(from)}
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			list.Files = append(list.Files, file{"SPDXRef-" + entry.Name(), path})
		}
		return err
	})
	if err != nil {
		return err
	}
	text, err := json.Marshal(statement{"https://in-toto.io/Statement/v0.1", "https://spdx.dev/Document", list})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, "files.spdx.json"), text, 0o644)
}
