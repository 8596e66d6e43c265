// Package scan has the words of vulnerability scanning: what is set, what a [Scanner] is
// given and what it answers, and what becomes of that. It is pure. The queue of scans
// and what they found are rows and blobs of package registry.
//
// An image that nobody has looked at must never look clean. So a scanner says beside
// its findings what it could not do, and [Judge] takes an answer for finished only if
// there is nothing of that: a known distribution and release, data for each ecosystem,
// every file read, every version compared.
package scan

import (
	"context"
	"io"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
)

// Scanner looks for known vulnerabilities in images. It may be called by several
// goroutines at once.
type Scanner interface {
	// Scan looks at one image. An error means that nothing is known of it. One that
	// wraps a *Problem is of the image or of the database and would come again; any
	// other one, ErrDied among them, may go away. What it could not do although it has
	// something to say is in Report.Problems.
	Scan(ctx context.Context, img Image) (Report, error)
}

// Image is what a Scanner is to look at.
type Image struct {
	Platform Platform // as the image's config says; the zero value if it says none
	// Layers are the layers of the image, lowest first, as its manifest has them.
	Layers []Layer
	// Open opens a layer as it is stored, packed, from its beginning. Its bytes are not
	// yet held against its digest. It fails with a *Problem where the layer is not here.
	Open func(ctx context.Context, l Layer) (io.ReadCloser, error)
	// SystemOnly has packages of languages left out, as Basic scans do.
	SystemOnly bool
	// Known is what was found in the image before. Where it is not nil no layer is
	// opened: its packages are held against the database again.
	Known *Inventory
}

// Platform is what an image runs on.
type Platform struct {
	OS           string `json:",omitempty"` // such as "linux"
	Architecture string `json:",omitempty"` // such as "amd64"
	Variant      string `json:",omitempty"` // such as "v8"
}

// Layer is a layer of an image, packed as it is stored.
type Layer struct {
	Digest    digest.Digest
	MediaType string
	Size      int64
	// Foreign says that the layer need not be here. It is never fetched.
	Foreign bool `json:",omitempty"`
}

// Report is what a Scanner found.
type Report struct {
	Inventory Inventory
	// Findings stand in order of Finding.Compare, no two alike.
	Findings []Finding
	// Database is the date of the newest record of the database, of any ecosystem.
	Database time.Time
	// Problems are what could not be read, found or compared. A report with any is
	// not a finished one.
	Problems []Problem
}

// Inventory is what is installed in an image.
type Inventory struct {
	System   System
	Packages []Package // in order of ecosystem, name, version and path
}

// System is the distribution that an image is made of, by its os-release.
type System struct {
	ID        string `json:",omitempty"` // such as "debian"; "" if it is not known
	VersionID string `json:",omitempty"` // such as "12"
	Name      string `json:",omitempty"` // for people: "Debian GNU/Linux 12 (bookworm)"
	// Ecosystem is what OSV calls the release, such as "Debian:12" and "Alpine:v3.20";
	// "" if it is none that packages can be compared for.
	Ecosystem string `json:",omitempty"`
}

// Package is one that is installed.
type Package struct {
	// Ecosystem is OSV's name, with the release where the ecosystem has them: "Debian:12",
	// "Go", "npm".
	Ecosystem string
	// Name and Version are those that the ecosystem's advisories speak of: of the source
	// package, for distributions that have those.
	Name, Version string
	// Binaries are the packages installed of that source; nil where there is no such
	// difference.
	Binaries []string `json:",omitempty"`
	// Architecture is the package's own, "" if it says none.
	Architecture string `json:",omitempty"`
	// Manager is the package manager as ECR names it, such as "OS", "GOBINARY" or
	// "NODEPKG".
	Manager string
	// System says that the distribution's own manager installed it.
	System bool `json:",omitempty"`
	// Path is the file that told of it, without a slash at its beginning, and Layer the
	// layer that the file is of.
	Path  string        `json:",omitempty"`
	Layer digest.Digest `json:",omitzero"`
}
