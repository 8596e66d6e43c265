package main

import (
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seed-78150930/berth/registry/scan/scantest"
)

// osvzips FOLDER writes records of vulnerabilities as OSV's bucket has them; osvzips FOLDER
// ECOSYSTEM FILE... makes the zip of one ecosystem of the records in files.
func osvzips(ts *testscript.TestScript, _ bool, args []string) {
	folder := ts.MkAbs(args[0])
	if len(args) == 1 {
		ts.Check(scantest.WriteZips(folder))
		return
	}
	var list []string
	for _, name := range args[2:] {
		list = append(list, ts.ReadFile(name))
	}
	ts.Check(scantest.WriteZip(folder, args[1], list...))
}
