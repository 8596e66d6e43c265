// Command gen turns the model of the ECR API into package shape: the types of
// requests and responses, enumerations, the names of exceptions, and tables of
// what the model demands of each value.
//
//	go run ./ecrapi/internal/gen -model ecrapi/model/ecr-2015-09-21.json -out ecrapi/shape -outline ecrapi/model/outline.txt
//
// What it writes is data: nothing in it decides anything. The outline tells the
// model in lines, and what of it changed since it was last written is printed: with
// a newer model, that is what there is to think about.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	model := flag.String("model", "", "read the model from `FILE`")
	out := flag.String("out", "", "write the package into `FOLDER`")
	lines := flag.String("outline", "", "write the model's outline to `FILE`, and print what changed in it")
	flag.Parse()
	if *model == "" || *out == "" || *lines == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*model, *out, *lines); err != nil {
		log.Fatal(err)
	}
}

func run(model, out, lines string) error {
	b, err := os.ReadFile(model)
	if err != nil {
		return err
	}
	files, err := generate(b)
	if err != nil {
		return fmt.Errorf("%s: %w", model, err)
	}
	for name, source := range files {
		if err := os.WriteFile(filepath.Join(out, name), source, 0o644); err != nil {
			return err
		}
	}
	return writeOutline(b, lines)
}

func writeOutline(source []byte, name string) error {
	m, err := parse(source)
	if err != nil {
		return err
	}
	before, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	after := m.outline()
	if before != nil {
		for _, line := range changes(splitLines(before), after) {
			fmt.Println(line)
		}
	}
	return os.WriteFile(name, []byte(strings.Join(after, "\n")+"\n"), 0o644)
}
