package registry_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
)

// mixed makes a repository of images with no tag, one and several.
func mixed(t testing.TB, s *registry.Service) (n registry.Name, images []registry.Image) {
	t.Helper()
	n = create(t, s, "team/app")
	body := indexOf(t)
	for i := range 9 {
		img := put(t, s, n, "", body)
		for j := range i % 4 {
			put(t, s, n, fmt.Sprintf("v%d.%d", i, j), body)
		}
		images, body = append(images, img), append(bytes.Clone(body), ' ')
	}
	return n, images
}

// reader reads the page of a list after a place, and says where it goes on.
type reader func(after string) (rows []string, next string, err error)

// pages calls read until it says that there are no further pages.
func pages(t testing.TB, read reader, limit int) (all []string) {
	t.Helper()
	for after := ""; ; {
		page, next, err := read(after)
		must(t, err)
		if len(page) > limit {
			t.Fatalf("page of %d holds %d", limit, len(page))
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		if next == after {
			t.Fatalf("the page after %q goes on there", after)
		}
		after = next
	}
}

func idReader(t testing.TB, s *registry.Service, n registry.Name, f registry.TagFilter, limit int) reader {
	return func(after string) (rows []string, next string, err error) {
		page, next, err := s.ImageIDs(alice(t), n, registry.ImageFilter{Tags: f}, after, limit)
		for _, ref := range page {
			rows = append(rows, ref.Digest.String()+" "+ref.Tag.String())
		}
		return rows, next, err
	}
}

func imageReader(t testing.TB, s *registry.Service, n registry.Name, f registry.TagFilter, limit int) reader {
	return func(after string) (rows []string, next string, err error) {
		page, next, err := s.Images(alice(t), n, registry.ImageFilter{Tags: f}, after, limit)
		for _, img := range page {
			rows = append(rows, fmt.Sprint(img.Digest, img.Tags))
		}
		return rows, next, err
	}
}

func tagReader(t testing.TB, s *registry.Service, n registry.Name, limit int) reader {
	return func(after string) (rows []string, next string, err error) {
		page, next, err := s.Tags(alice(t), n, after, limit)
		for _, tg := range page {
			rows = append(rows, tg.String())
		}
		return rows, next, err
	}
}

func TestListsInPagesOfAnySize(t *testing.T) {
	s := open(t, registry.Options{})
	n, _ := mixed(t, s)
	const tags, bare, images = 12, 3, 9
	tests := []struct {
		what string
		read func(limit int) reader
		want int
	}{
		{"all pairs", func(l int) reader { return idReader(t, s, n, "", l) }, tags + bare},
		{"ANY pairs", func(l int) reader { return idReader(t, s, n, registry.AnyImage, l) }, tags + bare},
		{"TAGGED pairs", func(l int) reader { return idReader(t, s, n, registry.TaggedOnly, l) }, tags},
		{"UNTAGGED pairs", func(l int) reader { return idReader(t, s, n, registry.UntaggedOnly, l) }, bare},
		{"all images", func(l int) reader { return imageReader(t, s, n, "", l) }, images},
		{"TAGGED images", func(l int) reader {
			return imageReader(t, s, n, registry.TaggedOnly, l)
		}, images - bare},
		{"UNTAGGED images", func(l int) reader {
			return imageReader(t, s, n, registry.UntaggedOnly, l)
		}, bare},
		{"tags", func(l int) reader { return tagReader(t, s, n, l) }, tags},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			whole := pages(t, tt.read(1000), 1000)
			if len(whole) != tt.want || !slices.IsSorted(whole) || len(slices.Compact(slices.Clone(whole))) != tt.want {
				t.Fatalf("the whole list has %d rows, want %d, in order:\n%q", len(whole), tt.want, whole)
			}
			for limit := 1; limit <= tt.want+1; limit++ {
				if diff := cmp.Diff(whole, pages(t, tt.read(limit), limit)); diff != "" {
					t.Errorf("pages of %d (-whole +pages):\n%s", limit, diff)
				}
			}
		})
	}
}

func TestListsWhileOthersWrite(t *testing.T) {
	type lister func(*registry.Service, registry.Name) reader
	lists := map[string]lister{
		"pairs":  func(s *registry.Service, n registry.Name) reader { return idReader(t, s, n, "", 2) },
		"images": func(s *registry.Service, n registry.Name) reader { return imageReader(t, s, n, "", 2) },
		"tags":   func(s *registry.Service, n registry.Name) reader { return tagReader(t, s, n, 2) },
	}
	for what, list := range lists {
		t.Run(what, func(t *testing.T) {
			s := open(t, registry.Options{})
			n, images := mixed(t, s)
			read := list(s, n)
			before := pages(t, list(s, n), 2)
			round := 0
			during := pages(t, func(after string) ([]string, string, error) {
				round++
				body := append(indexOf(t), bytes.Repeat([]byte("\n"), round)...)
				put(t, s, n, fmt.Sprintf("other%d", round), body)
				if round == 2 { // also one that may be what the list stands at
					_, err := s.DeleteImage(alice(t), n, registry.Ref{Digest: images[3].Digest}, nil)
					must(t, err)
				}
				return read(after)
			}, 2)
			after := map[string]int{}
			for _, row := range during {
				after[row]++
			}
			for _, row := range pages(t, list(s, n), 2) {
				if slices.Contains(before, row) && after[row] != 1 {
					t.Errorf("%s was there all the time and was listed %d times", row, after[row])
				}
			}
		})
	}
}

func TestAPlaceThatIsGone(t *testing.T) {
	s := open(t, registry.Options{})
	n, images := mixed(t, s)
	whole := pages(t, idReader(t, s, n, "", 100), 100)
	busiest := images[3] // has three tags
	_, next, err := s.ImageIDs(alice(t), n, registry.ImageFilter{}, "", slices.Index(whole, busiest.Digest.String()+" v3.0")+1)
	must(t, err)
	_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: busiest.Digest}, nil)
	must(t, err)
	rest, _, err := idReader(t, s, n, "", 100)(next)
	must(t, err)
	if want := whole[slices.Index(whole, busiest.Digest.String()+" v3.2")+1:]; !slices.Equal(rest, want) {
		t.Errorf("what follows is %q, want %q", rest, want)
	}
}

func TestAPageAsLongAsTheList(t *testing.T) {
	s := open(t, registry.Options{})
	n, _ := mixed(t, s)
	if _, next, err := s.ImageIDs(alice(t), n, registry.ImageFilter{}, "", 15); err != nil || next != "" {
		t.Errorf("15 of 15 pairs go on at %q, %v", next, err)
	}
	if _, next, err := s.Images(alice(t), n, registry.ImageFilter{}, "", 9); err != nil || next != "" {
		t.Errorf("9 of 9 images go on at %q, %v", next, err)
	}
	if _, next, err := s.Tags(alice(t), n, "", 12); err != nil || next != "" {
		t.Errorf("12 of 12 tags go on at %q, %v", next, err)
	}
}

func TestPlacesThatAreNone(t *testing.T) {
	s := open(t, registry.Options{})
	n, _ := mixed(t, s)
	d := sha256Of(nil)
	for _, after := range []string{"a b", " ", "sha256:00 v1", d.String() + "\x00", "\x00", d.String() + " v1\x00"} {
		_, _, err := s.ImageIDs(alice(t), n, registry.ImageFilter{}, after, 10)
		wantCode(t, fmt.Sprintf("pairs after %q", after), err, registry.PageInvalid)
	}
	for _, after := range []string{"\x00", d.String() + "\x00"} {
		_, _, err := s.Images(alice(t), n, registry.ImageFilter{}, after, 10)
		wantCode(t, fmt.Sprintf("images after %q", after), err, registry.PageInvalid)
		_, _, err = s.Tags(alice(t), n, after, 10)
		wantCode(t, fmt.Sprintf("tags after %q", after), err, registry.PageInvalid)
		_, _, err = s.Referrers(alice(t), n, d, registry.ReferrerFilter{}, after, 10)
		wantCode(t, fmt.Sprintf("referrers after %q", after), err, registry.PageInvalid)
	}
}

func TestTagsAfterOneThatIsNotThere(t *testing.T) {
	s := open(t, registry.Options{})
	n, _ := mixed(t, s)
	for after, want := range map[string]string{"v1": "v1.0", "v1.00": "v2.0", "A": "v1.0", "\xff": "", "v7.2": ""} {
		page, _, err := s.Tags(alice(t), n, after, 1)
		must(t, err)
		if got := append(page, registry.Tag{})[0].String(); got != want {
			t.Errorf("the tag after %q is %q, want %q", after, got, want)
		}
	}
}

func TestAFilteredPageLooksAtBoundedRows(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	body := indexOf(t)
	for range 1200 { // none of them is tagged
		put(t, s, n, "", body)
		body = append(body, ' ')
	}
	calls := 0
	read := imageReader(t, s, n, registry.TaggedOnly, 10)
	got := pages(t, func(after string) ([]string, string, error) {
		calls++
		return read(after)
	}, 10)
	if len(got) > 0 || calls < 2 {
		t.Errorf("%d images in %d pages, want none in several", len(got), calls)
	}
}

func TestAPageOfTagsLooksAtBoundedRows(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	body := indexOf(t)
	for i := range 3 {
		var list []registry.Tag
		for j := range 500 {
			list = append(list, tag(t, fmt.Sprintf("v%d.%d", i, j)))
		}
		done, err := s.PutImage(alice(t), n, registry.Push{Tags: list, Body: body})
		must(t, err)
		setClass(t, s, n, done.Image, registry.ArchiveClass)
		body = append(body, ' ')
	}
	put(t, s, n, "w", body)
	calls := 0
	read := tagReader(t, s, n, 10)
	got := pages(t, func(after string) ([]string, string, error) {
		calls++
		return read(after)
	}, 10)
	if !slices.Equal(got, []string{"w"}) || calls < 2 {
		t.Errorf("tags %q in %d pages, want w in several", got, calls)
	}
}
