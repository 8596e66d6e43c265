// Package inspect is the built-in scanner: it finds out what is installed in an image and
// holds that against the vulnerability database.
//
// # The child
//
// What an image holds was made by somebody else, so each scan runs in a process of its own,
// which may die of it: the server starts its own program with the argument scan-child and
// an empty environment. The child limits itself, reads the layers from its standard input,
// the top one first, and writes one JSON value. It opens no file by name. It inherits two: a
// spool file that has no name any more, and the vulnerability database. The server holds no
// layer in memory, bounds the answer, and kills the child at a deadline; if the server dies,
// so does the child (on Linux). What the server reads of an answer is checked, and an answer
// that says nothing at all is none.
//
// # From layers to files
//
// The layers are gone through once, from the top down: a name that is known hides what
// comes later, and so does a whiteout or an opaque folder for what lies below it. Files that
// a reader may want go into the spool file, end to end; programs are kept if they hold the
// mark of Go or of cargo-auditable. Each layer is read to its end and held against its
// digest, so that a damaged tail does not pass. When all layers are there, links are
// followed among the files that were kept, six steps at most. What a reader would read and
// is a link to what was not kept is a problem: nothing that tells of packages is passed over
// without a word. Which of the files are of the system is looked up by way of links, so that
// lib/apk/db/installed is found where lib is one.
//
// # The readers
//
// They are this package's own. The extractors of osv-scalibr (v0.5.3) read the same formats
// and would do, but for what they pass over: a file that is too long, a paragraph without a
// status, a file of a distroless image that cannot be parsed, a Go program that cannot be read are
// a line in a log to them. Here each is a problem, and the scan is not a finished one. The
// formats are short texts or known to the standard library, and the extractors cost 12.6 MB
// and 48 modules; see docs/dependencies.md.
//
//   - dpkg's status and status.d, apk's database: by source package, or origin, and version
//   - programs of Go, and programs of Rust built with cargo-auditable
//   - npm: package.json of installed packages, by way of pnpm's store too, package-lock.json and npm-shrinkwrap.json
//   - Python: METADATA and PKG-INFO, in folders, wheels and eggs
//   - Java: pom.properties in archives and archives within them, else manifest and file name
//   - Ruby: specifications of installed gems
//   - Rust: Cargo.lock
//
// What the distribution's package manager unpacked, and is as it was, is the distribution's to
// tell of, and not read again as a package of a language; programs are.
//
// What none of these names cannot be named: a Java archive without Maven's mark, version or
// manifest, a program that was linked of C. A file without either mark is not looked into.
//
// # Systems
//
// A distribution is known by its os-release: Debian with a release's number, Ubuntu, Alpine
// (not edge), Alpaquita, BellSoft Hardened Containers, Wolfi, Chainguard and MinimOS, which
// are those that have OSV records, a package database in a form that is read here, and
// versions that can be compared. All others, those with rpm among them, are a problem of
// kind scan.UnknownSystem; so is a known one whose package database is not in the image. One that
// lists no packages is scan.Unreadable.
package inspect
