package peertest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

// driver keeps files in memory. Distribution's own driver for that brings two
// hundred packages of tracing.
type driver struct {
	mu    sync.Mutex
	files map[string]*file
}

type file struct {
	content []byte
	at      time.Time
}

func (d *driver) Name() string { return driverName }

func (d *driver) GetContent(_ context.Context, path string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f, ok := d.files[path]; ok {
		return f.content, nil
	}
	return nil, missing(path)
}

func missing(path string) error {
	return storagedriver.PathNotFoundError{Path: path, DriverName: driverName}
}

func (d *driver) PutContent(_ context.Context, path string, content []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[path] = &file{bytes.Clone(content), time.Now()}
	return nil
}

func (d *driver) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	content, err := d.GetContent(ctx, path)
	if err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, storagedriver.InvalidOffsetError{Path: path, Offset: offset, DriverName: driverName}
	}
	return io.NopCloser(bytes.NewReader(content[min(offset, int64(len(content))):])), nil
}

func (d *driver) Writer(_ context.Context, path string, more bool) (storagedriver.FileWriter, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.files[path]
	if more && !ok {
		return nil, missing(path)
	}
	if !more {
		f = &file{at: time.Now()}
		d.files[path] = f
	}
	return &writer{d, path, f}, nil
}

func (d *driver) Stat(_ context.Context, path string) (storagedriver.FileInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fields := storagedriver.FileInfoFields{Path: path}
	if f, ok := d.files[path]; ok {
		fields.Size, fields.ModTime = int64(len(f.content)), f.at
		return storagedriver.FileInfoInternal{FileInfoFields: fields}, nil
	}
	if fields.IsDir = len(d.below(path)) > 0; !fields.IsDir {
		return nil, missing(path)
	}
	return storagedriver.FileInfoInternal{FileInfoFields: fields}, nil
}

// below are the paths of the files in a folder.
func (d *driver) below(folder string) []string {
	var all []string
	for path := range d.files {
		if strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/") {
			all = append(all, path)
		}
	}
	return all
}

func (d *driver) List(_ context.Context, folder string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	folder = strings.TrimSuffix(folder, "/")
	children := map[string]bool{}
	for _, path := range d.below(folder) {
		first, _, _ := strings.Cut(path[len(folder)+1:], "/")
		children[folder+"/"+first] = true
	}
	if len(children) == 0 && folder != "" {
		return nil, missing(folder)
	}
	var all []string
	for child := range children {
		all = append(all, child)
	}
	return all, nil
}

func (d *driver) Move(_ context.Context, from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.files[from]
	if !ok {
		return missing(from)
	}
	delete(d.files, from)
	d.files[to] = f
	return nil
}

func (d *driver) Delete(_ context.Context, path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.below(path)
	if _, ok := d.files[path]; ok {
		all = append(all, path)
	}
	if len(all) == 0 {
		return missing(path)
	}
	for _, p := range all {
		delete(d.files, p)
	}
	return nil
}

func (d *driver) RedirectURL(*http.Request, string) (string, error) { return "", nil }

func (d *driver) Walk(ctx context.Context, path string, f storagedriver.WalkFn, options ...func(*storagedriver.WalkOptions)) error {
	return storagedriver.WalkFallback(ctx, d, path, f, options...)
}

// writer appends to a file.
type writer struct {
	driver *driver
	path   string
	file   *file
}

func (w *writer) Write(p []byte) (int, error) {
	w.driver.mu.Lock()
	defer w.driver.mu.Unlock()
	w.file.content = append(w.file.content, p...)
	return len(p), nil
}

func (w *writer) Size() int64 {
	w.driver.mu.Lock()
	defer w.driver.mu.Unlock()
	return int64(len(w.file.content))
}

func (w *writer) Close() error                 { return nil }
func (w *writer) Commit(context.Context) error { return nil }

func (w *writer) Cancel(ctx context.Context) error { return w.driver.Delete(ctx, w.path) }
