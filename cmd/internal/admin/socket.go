package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	socketFile = "admin.sock"
	// addressFile names the socket where it lies elsewhere.
	addressFile = "admin.address"
	// longestSocket is how long a socket's path may be on every Unix: the
	// shortest sun_path has 104 bytes, the last of them zero.
	longestSocket = 103
)

// Place is where the socket of a server is to be found.
type Place struct {
	folder string // data folder; "" for a server in memory
	listen string // address of a server in memory
}

// InFolder is the place of a server that keeps its data in a folder.
func InFolder(path string) Place { return Place{folder: path} }

// InMemory is the place of a server that keeps nothing and listens on an
// address: no two can listen on the same one.
func InMemory(listen string) Place { return Place{listen: listen} }

// String implements fmt.Stringer.
func (p Place) String() string {
	if p.folder == "" {
		return "in memory on " + p.listen
	}
	return "on data folder " + p.folder
}

// Listen makes the socket. Closing the listener removes it and what names it.
// The caller sees to it that no other server is at the place.
func Listen(p Place) (net.Listener, error) {
	if p.folder == "" {
		return listenMemory(p.listen)
	}
	path := filepath.Join(p.folder, socketFile)
	address := filepath.Join(p.folder, addressFile)
	if err := remove(address); err != nil {
		return nil, err
	}
	if len(path) <= longestSocket {
		return listenAt(path, nil)
	}
	return listenElsewhere(address)
}

// listenElsewhere makes the socket in a new folder for temporary files, and a
// file in the data folder that names it.
func listenElsewhere(address string) (net.Listener, error) {
	dir, err := shortTempDir()
	if err != nil {
		return nil, fmt.Errorf("make folder for the admin socket: %w", err)
	}
	path := filepath.Join(dir, socketFile)
	if err := os.WriteFile(address, []byte(path+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("name the admin socket: %w", err), os.Remove(dir))
	}
	return listenAt(path, func() error { return errors.Join(remove(address), os.Remove(dir)) })
}

// shortTempDir makes a folder of the owner's in which a socket's path is short
// enough.
func shortTempDir() (string, error) {
	base := os.TempDir()
	if len(base) > longestSocket/2 {
		base = "/tmp"
	}
	return os.MkdirTemp(base, "berth-") // with mode 0700
}

// listenMemory makes the socket in the user's own folder for temporary files,
// under the address that the server listens on.
func listenMemory(listen string) (net.Listener, error) {
	path := memorySocket(listen)
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make folder for the admin socket: %w", err)
	}
	if err := checkOwner(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return listenAt(path, nil)
}

func memorySocket(listen string) string {
	base := os.TempDir()
	if len(base) > longestSocket/2 {
		base = "/tmp"
	}
	name := strings.NewReplacer("/", "_", "%", "_").Replace(listen)
	return filepath.Join(base, "berth-"+strconv.Itoa(os.Getuid()), name+".sock")
}

// checkOwner refuses a folder that others may have made, or may enter: its name
// can be guessed.
func checkOwner(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !ok || int(stat.Uid) != os.Getuid() {
		return fmt.Errorf("admin socket: %s is not a folder of this user alone", dir)
	}
	return nil
}

// listener is a socket that leaves nothing behind.
type listener struct {
	net.Listener
	after func() error
}

func (l *listener) Close() error {
	err := l.Listener.Close() // which removes the socket
	if l.after != nil {
		err = errors.Join(err, l.after())
	}
	return err
}

func listenAt(path string, after func() error) (net.Listener, error) {
	if err := remove(path); err != nil { // left by a server that was killed
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("keep others from the admin socket: %w", err), l.Close())
	}
	return &listener{l, after}, nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what an old server left: %w", err)
	}
	return nil
}

// find returns the path of a server's socket, whether or not it is there.
func (p Place) find() (string, error) {
	if p.folder == "" {
		path := memorySocket(p.listen)
		err := checkOwner(filepath.Dir(path))
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrNotRunning
		}
		return path, err
	}
	text, err := os.ReadFile(filepath.Join(p.folder, addressFile))
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	return filepath.Join(p.folder, socketFile), nil
}
