package registry

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/storage"
)

// What a scan found is kept in blobs of compressed JSON: its findings in pages, in order,
// one to a line, and the inventory. So a call reads the pages that have what it answers
// with, and no more.

// scanPageSize is how many findings a page has.
const scanPageSize = 1000

// inventoryPage stands for a number where a page is the inventory.
const inventoryPage = "inventory"

func scanPageKey(n int) string { return fmt.Sprintf("%06d", n) }

// ScanStanding is how an image's scans of its registry's type stand.
type ScanStanding struct {
	Digest digest.Digest
	Type   scan.Type
	Status scan.Status // of the newest scan
	Text   string      // of the status
	// Answer is of the last scan that was finished, nil if none was.
	Answer *ScanAnswer
}

// ScanAnswer is what a scan found.
type ScanAnswer struct {
	EndedAt  time.Time
	Database time.Time             // date of the newest record that it was held against
	Counts   map[scan.Severity]int // of severities that were found
	Findings []scan.Finding        // a page of them
	// Next is the place where the next page begins, "" if there is none.
	Next string
	// Image is what they are of, with its tags.
	Image        Image
	System       scan.System
	Architecture string // as the image's config says, such as "amd64"
}

// ScanFindings says how an image's scans stand, with those findings that stand behind
// the given place ("" for the first page), at most limit. Places are of one scan: when
// another one has been finished since, they are none. Refusals: RepositoryNotFound,
// ImageNotFound, TagMismatch, PageInvalid; ScanNotFound where none was ever wanted, and
// beside basic scans for an image that is archived.
func (s *Service) ScanFindings(ctx context.Context, name Name, ref Ref, after string, limit int) (standing ScanStanding, err error) {
	for range 3 { // pages may be replaced while they are read
		var of scanReading
		standing, of, err = s.scanStanding(ctx, name, ref, after, limit)
		if err != nil || standing.Answer == nil {
			return standing, err
		}
		standing.Answer.Findings, err = s.readFindings(ctx, of)
		if !errors.Is(err, storage.ErrNotFound) {
			return standing, err
		}
	}
	return standing, err
}

// scanReading is which findings are to be read: from the first of pages on.
type scanReading struct {
	pages       []scanPageRow
	from, limit int // of the findings in pages
}

func (s *Service) scanStanding(ctx context.Context, name Name, ref Ref, after string, limit int) (standing ScanStanding, of scanReading, err error) {
	err = s.onImage(ctx, name, ref, func(r storage.Reader, repo repository, found stored) error {
		c, err := scanningOf(r, name.id)
		if err != nil {
			return err
		}
		standing = ScanStanding{Digest: found.digest, Type: c.Type}
		key := repo.scanKey(found.digest, c.Type)
		row, err := scans.Get(r, key...)
		if ignoreNotFound(err) != nil {
			return err
		}
		if standing.Status, standing.Text, err = s.scanStatus(r, repo, found, c, row); err != nil {
			return err
		}
		if standing.Status == "" {
			e := refuse(ScanNotFound, "no image %q %s of %q was scanned", ref.Tag, ref.Digest, name)
			e.Name, e.Ref = name, ref
			return e
		}
		if row.Answer == nil || found.row.status() != Active {
			return atBeginning(after)
		}
		standing.Answer = &ScanAnswer{EndedAt: row.Answer.EndedAt, Database: row.Answer.Database, Counts: row.Answer.Counts,
			System: row.Answer.System, Architecture: row.Answer.Architecture, Image: found.row.public(name, found.digest)}
		if standing.Answer.Image.Tags, err = repo.tagsOf(r, found.digest, "", 0); err != nil {
			return err
		}
		of, standing.Answer.Next, err = row.Answer.page(r, key, after, limit)
		return err
	})
	return standing, of, err
}

func atBeginning(after string) error {
	if after != "" {
		return refuse(PageInvalid, "%.100q is no place in what a scan found", after)
	}
	return nil
}

// page finds the pages with the findings behind a place.
func (a *scanAnswerRow) page(r storage.Reader, key []string, after string, limit int) (of scanReading, next string, err error) {
	from := 0
	if after != "" {
		id, place, _ := strings.Cut(after, " ")
		if from, err = strconv.Atoi(place); err != nil || id != a.ID || from < 0 || from >= a.Findings {
			return of, "", atBeginning(after)
		}
	}
	of.limit = min(limit, a.Findings-from)
	of.from = from % scanPageSize
	for n := from / scanPageSize; n*scanPageSize < from+of.limit; n++ {
		page, err := scanPages.Get(r, append(slices.Clone(key), scanPageKey(n))...)
		if err != nil {
			return of, "", fmt.Errorf("page %d of findings: %w", n, err)
		}
		of.pages = append(of.pages, page)
	}
	if end := from + of.limit; end < a.Findings {
		next = fmt.Sprintf("%s %d", a.ID, end)
	}
	return of, next, nil
}

func (s *Service) readFindings(ctx context.Context, of scanReading) (list []scan.Finding, err error) {
	list = make([]scan.Finding, 0, of.limit)
	skip := of.from
	for _, page := range of.pages {
		r, err := s.openScanPage(ctx, page)
		if err != nil {
			return nil, err
		}
		for lines := bufio.NewReader(r); len(list) < of.limit; {
			line, err := lines.ReadBytes('\n')
			if err == io.EOF {
				break
			}
			if skip--; err == nil && skip < 0 { // what stands before is not looked at
				var f scan.Finding
				err = json.Unmarshal(line, &f)
				list = append(list, f)
			}
			if err != nil {
				return nil, fmt.Errorf("page of findings: %w", err)
			}
		}
	}
	if len(list) < of.limit {
		return nil, fmt.Errorf("there are %d findings in pages that should have %d", len(list), of.limit)
	}
	return list, nil
}

// maxScanPage bounds what a page unpacks to.
const maxScanPage = 1 << 30

// openScanPage reads a page, holds it against its digest and unpacks it.
func (s *Service) openScanPage(ctx context.Context, page scanPageRow) (io.Reader, error) {
	r, err := s.openContent(ctx, page.Blob)
	if err != nil {
		return nil, fmt.Errorf("page of a scan: %w", err)
	}
	defer r.Close()
	packed, err := io.ReadAll(io.LimitReader(r, page.Size+1))
	if err == nil && digest.FromBytes(page.Digest.Algorithm(), packed) != page.Digest {
		err = fmt.Errorf("blob %s is damaged", page.Blob)
	}
	if err != nil {
		return nil, fmt.Errorf("page of a scan: %w", err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("page of a scan: %w", err)
	}
	return io.LimitReader(z, maxScanPage), nil
}

// readInventory reads what was found in an image.
func (s *Service) readInventory(ctx context.Context, page scanPageRow) (inv scan.Inventory, err error) {
	r, err := s.openScanPage(ctx, page)
	if err == nil {
		err = json.NewDecoder(r).Decode(&inv)
	}
	return inv, err
}

// scanPage is a page that is kept, by its last part of a key.
type scanPage struct {
	key string
	row scanPageRow
}

// keepReport writes a report's pages. They are nobody's until a row says whose.
func (s *Service) keepReport(ctx context.Context, report scan.Report) (pages []scanPage, err error) {
	keep := func(key string, lines ...any) error {
		row, err := s.keepScanPage(ctx, lines)
		pages = append(pages, scanPage{key, row})
		return err
	}
	if err := keep(inventoryPage, report.Inventory); err != nil {
		return pages, err
	}
	n := 0
	for some := range slices.Chunk(report.Findings, scanPageSize) {
		lines := make([]any, len(some))
		for i, f := range some {
			lines[i] = f
		}
		if err := keep(scanPageKey(n), lines...); err != nil {
			return pages, err
		}
		n++
	}
	return pages, nil
}

func (s *Service) keepScanPage(ctx context.Context, lines []any) (row scanPageRow, err error) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	to := json.NewEncoder(z)
	for _, line := range lines {
		if err := to.Encode(line); err != nil {
			return row, fmt.Errorf("pack a page of a scan: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return row, fmt.Errorf("pack a page of a scan: %w", err)
	}
	row = scanPageRow{newID(), int64(packed.Len()), digest.FromBytes(digest.SHA256, packed.Bytes())}
	if _, err := s.blobs.Append(ctx, row.Blob, 0, &packed); err != nil {
		return row, fmt.Errorf("keep a page of a scan: %w", storeError(err))
	}
	if err := s.blobs.Seal(ctx, row.Blob); err != nil {
		return row, fmt.Errorf("keep a page of a scan: %w", storeError(err))
	}
	return row, nil
}

// ScanSummary is what the last finished basic scan of an image found.
type ScanSummary struct {
	EndedAt  time.Time
	Database time.Time
	Status   scan.Status
	Text     string
	Counts   map[scan.Severity]int
}

// ScanSummaries are those of some images of a repository, as far as there are any; none
// beside enhanced scans. Refusal: RepositoryNotFound.
func (s *Service) ScanSummaries(ctx context.Context, name Name, list []digest.Digest) (all map[digest.Digest]ScanSummary, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		all = map[digest.Digest]ScanSummary{}
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		c, err := scanningOf(r, name.id)
		if err != nil || c.Type != scan.Basic {
			return err
		}
		for _, d := range list {
			row, err := scans.Get(r, repo.scanKey(d, scan.Basic)...)
			if ignoreNotFound(err) != nil {
				return err
			}
			if a := row.Answer; a != nil {
				all[d] = ScanSummary{a.EndedAt, a.Database, a.Status, a.Text, a.Counts}
			}
		}
		return nil
	})
	return all, err
}
