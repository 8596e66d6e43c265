package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/registry/events"
)

// scripted is a server that says what it was told to say.
type scripted struct {
	status admin.Status
	keys   []accounts.Key
	answer string
	trial  admin.LifecycleTrial
	err    error
	asked  []string
}

func (s *scripted) Status(context.Context) (admin.Status, error) { return s.status, s.err }

func (s *scripted) Reload(context.Context) (admin.Reloaded, error) {
	return admin.Reloaded{Changed: []string{"log-level"}, Waiting: []string{"listen"}}, s.err
}

func (s *scripted) Environment(context.Context) (admin.Environment, error) {
	return admin.Environment{Endpoint: "http://localhost:5000", Region: "us-east-1", Key: s.keys[0], CA: "/data/tls/ca.crt"}, s.err
}

func (s *scripted) Call(_ context.Context, name string, question []byte) ([]byte, error) {
	s.asked = append(s.asked, name+" "+string(question))
	return []byte(s.answer), s.err
}

func (s *scripted) Snapshot(_ context.Context, w io.Writer) error { return s.copied(w) }

func (s *scripted) Records(_ context.Context, after, upTo uint64, w io.Writer) error {
	s.asked = append(s.asked, fmt.Sprint("records after ", after, " up to ", upTo))
	return s.copied(w)
}

// copied writes the answer, and then fails if it is to.
func (s *scripted) copied(w io.Writer) error {
	if s.answer != "" {
		if _, err := io.WriteString(w, s.answer); err != nil {
			return err
		}
	}
	return s.err
}

func (s *scripted) Events(_ context.Context, after uint64, wait bool) (admin.EventPage, error) {
	s.asked = append(s.asked, fmt.Sprint("events after ", after, " ", wait))
	return admin.EventPage{Events: []events.Told{{Sequence: after + 1, Envelope: events.Envelope{ID: "one"}}}, Last: after + 1}, s.err
}

func (s *scripted) LatestEvent(context.Context) (uint64, error) { return 7, s.err }

func (s *scripted) DeadLetters(_ context.Context, after events.LetterID) ([]events.DeadLetter, error) {
	return []events.DeadLetter{{LetterID: events.LetterID{Webhook: after.Webhook + "s", Sequence: after.Sequence + 1}}}, s.err
}

func (s *scripted) Replay(_ context.Context, id events.LetterID) error {
	s.asked = append(s.asked, fmt.Sprint("replay ", id.Webhook, " ", id.Sequence))
	return s.err
}

func (s *scripted) Drop(_ context.Context, id events.LetterID) error {
	s.asked = append(s.asked, fmt.Sprint("drop ", id.Webhook, " ", id.Sequence))
	return s.err
}

func TestEventsOverTheSocket(t *testing.T) {
	s := &scripted{}
	c := serve(t, admin.InFolder(t.TempDir()), s)
	page, err := c.Events(t.Context(), 1<<63, true)
	if err != nil || page.Last != 1<<63+1 || len(page.Events) != 1 || page.Events[0].ID != "one" || page.Events[0].Sequence != page.Last {
		t.Errorf("events %+v, %v", page, err)
	}
	if last, err := c.LatestEvent(t.Context()); err != nil || last != 7 {
		t.Errorf("the latest is %d, %v", last, err)
	}
	if list, err := c.DeadLetters(t.Context(), events.LetterID{Webhook: "a&b", Sequence: 1 << 63}); err != nil || len(list) != 1 || list[0].Webhook != "a&bs" || list[0].Sequence != 1<<63+1 {
		t.Errorf("dead letters %+v, %v", list, err)
	}
	if err := errors.Join(c.Replay(t.Context(), events.LetterID{Webhook: "a/b c", Sequence: 1}), c.Drop(t.Context(), events.LetterID{Webhook: "hook", Sequence: 2})); err != nil {
		t.Error(err)
	}
	want := []string{"events after 9223372036854775808 true", "replay a/b c 1", "drop hook 2"}
	if diff := cmp.Diff(want, s.asked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, refusal := range []error{events.ErrNoLetter, events.ErrNoWebhook} {
		s.err = refusal
		if err := c.Replay(t.Context(), events.LetterID{Webhook: "hook", Sequence: 2}); err == nil || !strings.Contains(err.Error(), refusal.Error()) {
			t.Errorf("%v, want %v", err, refusal)
		}
	}
}

func (s *scripted) TestLifecycle(_ context.Context, q admin.LifecycleQuestion) (admin.LifecycleTrial, error) {
	s.asked = append(s.asked, "try "+q.Policy+" on "+q.Repository+" of "+q.Account+" in "+q.Region)
	return s.trial, s.err
}

// serve lets s answer at a place until the test ends.
func serve(t testing.TB, p admin.Place, s admin.Server) *admin.Client {
	t.Helper()
	l, err := admin.Listen(p)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: admin.Handler(s), ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return admin.NewClient(p)
}

var sample = accounts.Key{
	ID: "AKIA0000000000000000", Secret: accounts.NewSecret("a secret"), Account: "000000000000",
	Description: "berth env", CreatedAt: time.Date(2026, 11, 21, 1, 2, 3, 0, time.UTC), Active: true,
}

// sameKey compares secrets too, which other means would not.
var sameKey = cmp.Options{
	cmp.Comparer(func(a, b accounts.Secret) bool { return a.Reveal() == b.Reveal() }), cmpopts.EquateEmpty(),
}

func TestEverythingComesThrough(t *testing.T) {
	ctx := context.Background()
	s := &scripted{
		keys: []accounts.Key{sample}, answer: `{"AccessKeyId":"AKIA1","SecretAccessKey":"<a> secret","Active":true}`,
		status: admin.Status{Version: "1", PID: 7, Address: "127.0.0.1:5000", Dev: true, Ready: true,
			Config: admin.Config{File: "berth.yml", Error: "line 1", Waiting: []string{"listen"}}},
	}
	s.trial = admin.LifecycleTrial{Account: "123456789012", Region: "eu-west-1", Repository: "team/app", At: sample.CreatedAt, Images: 2, HasPolicy: true,
		Decisions: []admin.LifecycleDecision{{ImageDigest: "sha256:1", ImageTags: []string{"a", "b"}, ImagePushedAt: sample.CreatedAt, Action: "EXPIRE",
			RulePriority: 3, Reason: "old", FollowsSubject: true, Kept: "kept", New: true}},
		Spared: []admin.LifecycleDecision{{ImageDigest: "sha256:2", ImageTags: []string{}}},
	}
	c := serve(t, admin.InFolder(t.TempDir()), s)
	checks := map[string]func() (got, want any, err error){
		"Status": func() (any, any, error) { got, err := c.Status(ctx); return got, s.status, err },
		"Reload": func() (any, any, error) {
			got, err := c.Reload(ctx)
			return got, admin.Reloaded{Changed: []string{"log-level"}, Waiting: []string{"listen"}}, err
		},
		"Environment": func() (any, any, error) {
			got, err := c.Environment(ctx)
			return got, admin.Environment{Endpoint: "http://localhost:5000", Region: "us-east-1", Key: sample, CA: "/data/tls/ca.crt"}, err
		},
		"Call": func() (any, any, error) {
			got, err := admin.CreateKey.Ask(ctx, c, admin.OfUser{Account: "123456789012", User: "a/b ?#"})
			return got, admin.Key{ID: "AKIA1", Secret: admin.Show(accounts.NewSecret("<a> secret")), Active: true}, err
		},
		"TestLifecycle": func() (any, any, error) {
			got, err := c.TestLifecycle(ctx, admin.LifecycleQuestion{Account: "123456789012", Region: "eu-west-1", Repository: "team/app", Policy: "{}"})
			return got, s.trial, err
		},
	}
	for _, name := range []string{"Status", "Reload", "Environment", "Call", "TestLifecycle"} {
		got, want, err := checks[name]()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got, sameKey); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff([]string{`create-key {"account":"123456789012","user":"a/b ?#"}`, "try {} on team/app of 123456789012 in eu-west-1"}, s.asked); diff != "" {
		t.Errorf("asked of the server (-want +got):\n%s", diff)
	}
}

func TestErrorsComeThrough(t *testing.T) {
	ctx := context.Background()
	s := &scripted{keys: []accounts.Key{sample}, err: errors.New("berth.yml:3:1: unknown key")}
	c := serve(t, admin.InFolder(t.TempDir()), s)
	_, err1 := c.Status(ctx)
	_, err2 := c.Reload(ctx)
	_, err3 := c.Environment(ctx)
	_, err4 := admin.DeleteUser.Ask(ctx, c, admin.Named{Name: "ada"})
	_, err5 := c.TestLifecycle(ctx, admin.LifecycleQuestion{})
	for i, err := range []error{err1, err2, err3, err4, err5} {
		if err == nil || err.Error() != s.err.Error() {
			t.Errorf("error %d is %v, want the server's own", i+1, err)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	folder := t.TempDir()
	killed := t.TempDir()
	leave(t, killed)
	for _, p := range []admin.Place{admin.InFolder(folder), admin.InFolder(filepath.Join(folder, "absent")), admin.InFolder(killed), admin.InMemory("127.0.0.1:1")} {
		_, err := admin.NewClient(p).Status(context.Background())
		if !errors.Is(err, admin.ErrNotRunning) {
			t.Errorf("%s: error %v, want ErrNotRunning", p, err)
		}
	}
	serve(t, admin.InFolder(killed), &scripted{}) // takes the place of the dead
}

// leave makes the socket of a server that was killed.
func leave(t testing.TB, folder string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(folder, "admin.sock")})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSocketIsTheOwnersAlone(t *testing.T) {
	folder := t.TempDir()
	serve(t, admin.InFolder(folder), &scripted{})
	info, err := os.Stat(filepath.Join(folder, "admin.sock"))
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestLongPath(t *testing.T) {
	folder := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := admin.Listen(admin.InFolder(folder))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "admin.address"))
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimSpace(string(text))
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder of the socket: %v, %v", info.Mode(), err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for _, gone := range []string{path, filepath.Dir(path), filepath.Join(folder, "admin.address")} {
		if _, err := os.Stat(gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", gone, err)
		}
	}
	c := serve(t, admin.InFolder(folder), &scripted{status: admin.Status{PID: 9}})
	if s, err := c.Status(context.Background()); err != nil || s.PID != 9 {
		t.Errorf("Status = %+v, %v", s, err)
	}
}

// setTemp gives the test a folder for temporary files with a short name, as
// sockets need one.
func setTemp(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
}

func TestServersInMemory(t *testing.T) {
	setTemp(t)
	for i, listen := range []string{"127.0.0.1:5000", "[::1]:5000"} {
		serve(t, admin.InMemory(listen), &scripted{status: admin.Status{PID: i + 1}})
	}
	for i, listen := range []string{"127.0.0.1:5000", "[::1]:5000"} {
		s, err := admin.NewClient(admin.InMemory(listen)).Status(context.Background())
		if err != nil || s.PID != i+1 {
			t.Errorf("%s: %+v, %v", listen, s, err)
		}
	}
}

func TestFolderThatOthersMayEnterIsRefused(t *testing.T) {
	setTemp(t)
	p := admin.InMemory("127.0.0.1:5000")
	serve(t, p, &scripted{})
	made, err := filepath.Glob(filepath.Join(os.TempDir(), "berth-*"))
	if err != nil || len(made) != 1 {
		t.Fatalf("folders %v, %v", made, err)
	}
	if err := os.Chmod(made[0], 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.NewClient(p).Status(context.Background()); err == nil || !strings.Contains(err.Error(), "not a folder of this user alone") {
		t.Errorf("asked: %v", err)
	}
	if l, err := admin.Listen(p); err == nil {
		_ = l.Close()
		t.Error("listened")
	}
}
