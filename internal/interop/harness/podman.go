package harness

import "path/filepath"

// Podman runs podman on storage of sh's own.
func (sh *Shell) Podman(args ...string) string {
	sh.t.Helper()
	return sh.Run("podman", append(sh.PodmanFlags(), args...)...)
}

// PodmanRefused is Podman for a command that is to fail.
func (sh *Shell) PodmanRefused(args ...string) string {
	sh.t.Helper()
	return sh.Refused("podman", append(sh.PodmanFlags(), args...)...)
}

// PodmanFlags are the first of every podman command. They keep podman off the machine's storage, and from asking a
// systemd that need not run for control groups and a journal.
func (sh *Shell) PodmanFlags() []string {
	return append(sh.storageFlags("podman"),
		"--tmpdir", filepath.Join(sh.Home(), "podman", "tmp"),
		"--cgroup-manager", "cgroupfs", "--events-backend", "none")
}

// Buildah runs buildah on storage of sh's own.
func (sh *Shell) Buildah(args ...string) string {
	sh.t.Helper()
	return sh.Run("buildah", append(sh.storageFlags("buildah"), args...)...)
}

func (sh *Shell) storageFlags(of string) []string {
	dir := filepath.Join(sh.Home(), of)
	return []string{
		"--storage-driver", "vfs",
		"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"),
	}
}
