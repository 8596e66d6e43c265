package doctor_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/cmd/internal/doctor"
	"github.com/seed-78150930/berth/registry/endpoint"
)

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

// stopped is the world with no server running.
func stopped(w *world) {
	w.subject.Status, w.subject.StatusErr = nil, fmt.Errorf("%w on data folder /srv/data", admin.ErrNotRunning)
	w.servers = map[string]func() net.Conn{}
}

// mounted is the line of mountinfo for the data folder.
func mounted(kind, source, device, options string) *fstest.MapFile {
	return file("20 1 254:0 / / rw - ext4 /dev/vda rw\n36 20 " + device + " / /srv/data rw,relatime shared:1 - " + kind + " " + source + " " + options + "\n")
}

// secured is the world with a server that speaks TLS, whose certificate nobody
// trusts.
func secured(t *testing.T, w *world) *x509.Certificate {
	s := httptest.NewTLSServer(registry(0))
	w.at(t, s, "localhost:5000", "127.0.0.1:5000", "example.com:443")
	w.subject.Status.URL = "https://127.0.0.1:5000"
	w.subject.Status.Listeners[0].URL = "https://127.0.0.1:5000"
	w.env["AWS_ENDPOINT_URL"] = "https://localhost:5000"
	return s.Certificate()
}

var scenarios = map[string]struct {
	change func(*testing.T, *world)
	want   []want
}{
	"no server": {func(_ *testing.T, w *world) { stopped(w) }, []want{
		{"server", doctor.Fail, "no server is running on data folder /srv/data", "berth serve"},
		{"port", doctor.OK, "127.0.0.1:5000 is free", ""},
		{"name.request", doctor.Skipped, "localhost resolves", ""},
		{"clock", doctor.Skipped, "", ""},
	}},
	"a server of another user": {func(_ *testing.T, w *world) {
		stopped(w)
		w.subject.StatusErr = fs.ErrPermission
	}, []want{{"server", doctor.Fail, "cannot be asked", "run this as the user"}}},
	"a server that is not ready": {func(_ *testing.T, w *world) { w.subject.Status.Ready, w.subject.Status.Fault = false, "disk full" }, []want{
		{"server", doctor.Fail, "disk full", "log"},
	}},
	"the port is taken by a process": {func(t *testing.T, w *world) {
		stopped(w)
		w.serve(t, http.NotFoundHandler(), "127.0.0.1:5000")
		w.files["proc/net/tcp"] = file("  sl  local_address rem_address   st\n   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 777 1 0\n")
		w.files["proc/99/comm"] = file("squatter\n")
		w.files["proc/99/fd/3"] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("socket:[777]")}
	}, []want{{"port", doctor.Fail, "127.0.0.1:5000, where the server is to listen, is taken by process 99 (squatter)", "--listen 127.0.0.1:5001"}}},
	"the port is macOS's": {func(t *testing.T, w *world) {
		stopped(w)
		w.os = "darwin"
		w.serve(t, airplay, "127.0.0.1:5000", "localhost:5000")
	}, []want{{"port", doctor.Fail, "AirPlay receiver of macOS", "AirPlay Receiver in System Settings"}}},
	"another registry has the port": {func(t *testing.T, w *world) {
		w.serve(t, http.NotFoundHandler(), "127.0.0.1:5000", "localhost:5000")
	}, []want{{"server", doctor.Fail, "http://localhost:5000 is answered by somebody else: status 404", "5001"}}},
	"somebody has 443": {func(t *testing.T, w *world) { w.serve(t, http.NotFoundHandler(), "127.0.0.1:443") }, []want{
		{"port", doctor.OK, "", ""},
	}},
	"a configuration that is refused": {func(_ *testing.T, w *world) { w.subject.ConfigErr = errors.New("a.yml:1: no\na.yml:2: no") }, []want{
		{"config", doctor.Fail, "a.yml:1: no; a.yml:2: no", "reload"},
	}},

	"a name that the C library alone knows": {func(_ *testing.T, w *world) {
		delete(w.names, ownName)
		w.libc = map[string]string{"localhost": "127.0.0.1", ownName: "127.0.0.1"}
	}, []want{{"name.hostname", doctor.Warn, "the C library alone knows the name", "echo '127.0.0.1 " + ownName + "'"}}},
	"a name that nobody knows": {func(_ *testing.T, w *world) { delete(w.names, ownName) }, []want{
		{"name.hostname", doctor.Warn, "does not resolve", "echo '127.0.0.1 " + ownName + "' | sudo tee -a /etc/hosts"},
	}},
	"the style in force has a name that nobody knows": {func(_ *testing.T, w *world) {
		delete(w.names, ownName)
		w.subject.Config.Style = endpoint.StyleHostname
	}, []want{{"name.hostname", doctor.Fail, "(repository-uri is hostname)", ownName}}},
	"AWS's name leads to Amazon": {func(*testing.T, *world) {}, []want{{"name.aws", doctor.Skipped, "leads to " + otherIP + ", which is Amazon's", ownHosts(awsName)}}},
	"AWS's name is in force": {func(_ *testing.T, w *world) { w.subject.Config.Style = endpoint.StyleAWS }, []want{
		{"name.aws", doctor.Fail, "which is Amazon's", ownHosts(awsName)},
	}},
	"AWS's name leads here": {func(t *testing.T, w *world) {
		w.names[awsName] = "127.0.0.1"
		w.at(t, httptest.NewTLSServer(registry(0)), awsName+":443")
	}, []want{{"name.aws", doctor.OK, awsName + " leads here and answers", ""}}},
	"the external name is gone": {func(_ *testing.T, w *world) {
		w.subject.Config.External, w.subject.Config.Style = "https://registry.example", endpoint.StyleExternal
	}, []want{{"name.external", doctor.Fail, "registry.example does not resolve", "/etc/hosts"}}},
	"the external name works": {func(t *testing.T, w *world) {
		w.subject.Config.External, w.names["registry.example"] = "http://registry.example", otherIP
		w.serve(t, registry(0), "registry.example:80")
	}, []want{{"name.external", doctor.OK, "registry.example leads here and answers", ""}}},

	"the clock is an hour off": {func(t *testing.T, w *world) {
		w.serve(t, registry(-time.Hour), "localhost:5000")
	}, []want{{"clock", doctor.Fail, "1h0m0s apart: signatures older or newer than 15m0s are refused", "timedatectl set-ntp true"}}},
	"the clock is off by what Amazon refuses": {func(t *testing.T, w *world) {
		w.serve(t, registry(6*time.Minute), "localhost:5000")
	}, []want{{"clock", doctor.Warn, "Amazon only within 5m0s", "timedatectl"}}},
	"nobody keeps the clock": {func(_ *testing.T, w *world) {
		w.programs["timedatectl show --property=NTPSynchronized --value"] = "no\n"
	}, []want{{"clock.ntp", doctor.Warn, "not kept right", "set-ntp"}}},

	"little space": {func(_ *testing.T, w *world) { w.volume.Free = 1 << 29 }, []want{{"disk.space", doctor.Warn, "512.0 MiB of 2.0 TiB", "df -h /srv/data"}}},
	"no space":     {func(_ *testing.T, w *world) { w.volume.Free = 1 << 20 }, []want{{"disk.space", doctor.Fail, "1.0 MiB", "df -h"}}},
	"no inodes":    {func(_ *testing.T, w *world) { w.volume.FreeFiles = 3 }, []want{{"disk.inodes", doctor.Fail, "3 of", "df -i"}}},
	"no count of inodes": {func(_ *testing.T, w *world) { w.volume.FreeFiles, w.volume.Files = 0, 0 }, []want{
		{"disk.inodes", doctor.OK, "as it needs them", ""},
	}},
	"data in memory": {func(_ *testing.T, w *world) { w.files["proc/self/mountinfo"] = mounted("tmpfs", "tmpfs", "0:40", "rw") }, []want{
		{"disk.media", doctor.Fail, "tmpfs keeps nothing", "move the data folder to a disk"},
		{"disk.fsync", doctor.Fail, "to memory", "move"},
	}},
	"data in memory, by statfs alone": {func(_ *testing.T, w *world) { w.volume.Magic = 0x01021994 }, []want{
		{"disk.media", doctor.Fail, "tmpfs keeps nothing", "disk"},
	}},
	"a mount without barriers": {func(_ *testing.T, w *world) {
		w.files["proc/self/mountinfo"] = mounted("ext4", "/dev/sda1", "8:1", "rw,nobarrier")
	}, []want{{"disk.media", doctor.Fail, "/srv/data is mounted with nobarrier", "remount,barrier /srv/data"}}},
	"NFS": {func(_ *testing.T, w *world) {
		w.files["proc/self/mountinfo"] = mounted("nfs4", "nas:/data", "0:50", "rw")
	}, []want{
		{"disk.media", doctor.Warn, "kept by the NFS server", "own disk"},
		{"disk.locks", doctor.Warn, "up to NFS", "move the data folder to a disk"},
	}},
	"FUSE, by statfs alone": {func(_ *testing.T, w *world) { w.volume.Magic = 0x65735546 }, []want{
		{"disk.locks", doctor.Warn, "up to FUSE", "move the data folder to a disk"},
	}},
	"locks that work": {func(*testing.T, *world) {}, []want{{"disk.locks", doctor.OK, "keeps out whoever comes second", ""}}},
	"locks that do not": {func(_ *testing.T, w *world) {
		w.locks = &datadir.NoLocksError{Path: "/srv/data", Err: errors.New("no locks available")}
	}, []want{{"disk.locks", doctor.Fail, "(no locks available)", "move the data folder to a disk"}}},
	"locks that cannot be tried": {func(_ *testing.T, w *world) { w.locks = fs.ErrPermission }, []want{
		{"disk.locks", doctor.Warn, "permission denied", "as the user"},
	}},
	"a container's own files": {func(_ *testing.T, w *world) {
		w.files["proc/self/mountinfo"] = mounted("overlay", "overlay", "0:60", "rw")
	}, []want{
		{"disk.media", doctor.Warn, "goes with the container", "a volume"},
	}},
	"a partition with a cache": {func(_ *testing.T, w *world) {
		w.files["proc/self/mountinfo"] = mounted("xfs", "/dev/sda1", "8:1", "rw")
		w.files["sys/dev/block/8:1"] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("../../devices/pci/block/sda/sda1")}
		w.files["sys/devices/pci/block/sda/queue/write_cache"] = file("write back\n")
		w.files["sys/devices/pci/block/sda/queue/fua"] = file("1\n")
	}, []want{{"disk.media", doctor.OK, "by a flush or by writing through it (FUA)", ""}}},
	"a disk that says it has no cache": {func(_ *testing.T, w *world) {
		w.files["proc/self/mountinfo"] = mounted("btrfs", "/dev/sdb", "0:33", "rw")
		w.files["sys/class/block/sdb"] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("../../devices/pci/block/sdb")}
		w.files["sys/devices/pci/block/sdb/queue/write_cache"] = file("write through\n")
	}, []want{{"disk.media", doctor.OK, "right if that is true", ""}}},
	"too fast to be true": {func(_ *testing.T, w *world) { w.syncs = 5 * time.Microsecond }, []want{
		{"disk.fsync", doctor.Warn, "some 200000 a second: no disk is known to be so fast", "power-loss protection"},
	}},
	"fast": {func(_ *testing.T, w *world) { w.syncs = 40 * time.Microsecond }, []want{{"disk.fsync", doctor.Warn, "capacitor", "power-loss"}}},
	"slow": {func(_ *testing.T, w *world) { w.syncs = 80 * time.Millisecond }, []want{{"disk.fsync", doctor.Warn, "80ms", "faster disk"}}},
	"no data yet": {func(_ *testing.T, w *world) { w.subject.Data = "/srv/other" }, []want{
		{"disk.fsync", doctor.Skipped, "the first start makes it", ""}, {"disk.space", doctor.Skipped, "", ""}, {"disk.media", doctor.Skipped, "", ""}, {"disk.locks", doctor.Skipped, "", ""},
	}},
	"few open files": {func(_ *testing.T, w *world) { w.limit = 1024 }, []want{{"files", doctor.Fail, "1024 files", "LimitNOFILE=20100"}}},
	"the server's own limit counts": {func(_ *testing.T, w *world) {
		w.files["proc/42/limits"] = file("Limit                     Soft Limit           Hard Limit           Units     \nMax open files            12000                524288               files     \n")
	}, []want{{"files", doctor.Warn, "the server may have 12000 files open", "LimitNOFILE=20100"}}},

	"TLS that nobody trusts": {func(t *testing.T, w *world) { secured(t, w) }, []want{
		{"server", doctor.OK, "https://localhost:5000", ""},
		{"tls", doctor.Warn, "does not trust the certificate of localhost:5000", "berth ca trust localhost:5000"},
		{"tls.expiry", doctor.OK, "until 2084-01-29", ""},
	}},
	"TLS that the system trusts": {func(t *testing.T, w *world) {
		w.roots.AddCert(secured(t, w))
		w.subject.Host, w.names["example.com"] = "example.com", otherIP
	}, []want{{"tls", doctor.OK, "the system trusts the certificate of example.com", ""}}},
	"a bundle that is gone": {func(t *testing.T, w *world) {
		secured(t, w)
		w.env["AWS_CA_BUNDLE"] = "/nowhere.pem"
	}, []want{{"tls.bundle", doctor.Fail, "/nowhere.pem, which is absent", "unset AWS_CA_BUNDLE"}}},

	"a server elsewhere": {func(t *testing.T, w *world) {
		w.subject.Host, w.names["registry.example"] = "registry.example:5000", otherIP
		w.serve(t, registry(0), "registry.example:5000")
	}, []want{
		{"server", doctor.OK, "http://registry.example:5000 answers", ""},
		{"port", doctor.OK, "registry.example:5000 takes connections", ""},
		{"disk.fsync", doctor.Skipped, "not known here", ""},
		{"name.hostname", doctor.Skipped, "", ""},
		{"aws.endpoint", doctor.Warn, "which is not this server", "berth env"},
		{"aws.credentials", doctor.Skipped, "not led here", ""},
	}},
	"a server elsewhere that is gone": {func(_ *testing.T, w *world) { w.subject.Host = "registry.example" }, []want{
		{"server", doctor.Fail, "https://registry.example does not answer: connection refused", "berth serve"},
		{"port", doctor.Fail, "registry.example:443 cannot be reached", "firewall"},
	}},
	"the address of TLS without it": {func(_ *testing.T, w *world) { w.subject.Host = "https://localhost:5000" }, []want{
		{"server", doctor.Fail, "speaks plain HTTP", "berth doctor http://localhost:5000"},
	}},

	"AWS's tools go to Amazon": {func(_ *testing.T, w *world) { clear(w.env) }, []want{
		{"aws.endpoint", doctor.Warn, "AWS_ENDPOINT_URL is not set", `eval "$(berth env)"`}, {"aws.region", doctor.Warn, "AWS_REGION is not set", "berth env"},
	}},
	"a service's own endpoint wins": {func(_ *testing.T, w *world) { w.env["AWS_ENDPOINT_URL_ECR"] = "http://localhost:6000" }, []want{
		{"aws.endpoint", doctor.Warn, "AWS_ENDPOINT_URL_ECR is http://localhost:6000, which is not this server", "berth env"},
	}},
	"an endpoint without TLS": {func(t *testing.T, w *world) {
		secured(t, w)
		w.env["AWS_ENDPOINT_URL"] = hostsURL
	}, []want{{"aws.endpoint", doctor.Fail, "the server speaks TLS there", "berth env"}}},
	"another region": {func(_ *testing.T, w *world) { w.env["AWS_REGION"] = "eu-west-1" }, []want{
		{"aws.region", doctor.Warn, "the server's own is us-east-1", "export AWS_REGION=us-east-1"},
	}},
	"a proxy": {func(_ *testing.T, w *world) { w.env["http_proxy"] = "http://proxy:3128" }, []want{
		{"aws.proxy", doctor.Warn, "HTTP_PROXY sends what is meant for localhost to a proxy", `NO_PROXY="${NO_PROXY:+$NO_PROXY,}localhost"`},
	}},
	"a proxy that leaves the server out": {func(_ *testing.T, w *world) {
		w.env["HTTP_PROXY"], w.env["NO_PROXY"] = "http://proxy:3128", "10.0.0.0/8, localhost"
	}, []want{{"aws.proxy", doctor.OK, "NO_PROXY leaves out localhost", ""}}},
	"an old AWS CLI": {func(_ *testing.T, w *world) { w.programs["aws --version"] = "aws-cli/1.20.1 Python/3.9\n" }, []want{
		{"aws.cli", doctor.Warn, "aws-cli/1.20.1 does not know AWS_ENDPOINT_URL", "berth env"},
	}},
	"a new AWS CLI": {func(_ *testing.T, w *world) { w.programs["aws --version"] = "aws-cli/2.15.1 Python/3.9\n" }, []want{
		{"aws.cli", doctor.OK, "aws-cli/2.15.1 knows", ""},
	}},
	"a key that nobody knows": {func(_ *testing.T, w *world) {
		w.subject.Token = func(context.Context, string, string, string) error { return errors.New("InvalidSignatureException") }
	}, []want{{"aws.credentials", doctor.Fail, "InvalidSignatureException", "berth env"}}},
	"no key": {func(_ *testing.T, w *world) {
		w.subject.Token = func(context.Context, string, string, string) error { return doctor.ErrNoCredentials }
	}, []want{{"aws.credentials", doctor.Warn, "neither the environment nor a profile", "berth env"}}},
}

func ownHosts(name string) string { return "echo '127.0.0.1 " + name + "' | sudo tee -a /etc/hosts" }

var airplay = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Server", "AirTunes/775.3.1")
	w.WriteHeader(http.StatusForbidden)
})
