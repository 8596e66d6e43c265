package access

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-78150930/berth/auth"
)

// Denial is a denial as an administrator sees it.
type Denial struct {
	Code  string
	First time.Time
	Last  time.Time
	Count int
	auth.Denied
	Request auth.Request // the last one
}

// Denials holds the latest denials. The same one (who, what, on what and why) has the
// same code. A nil Denials holds nothing. It is safe for use by several goroutines.
type Denials struct {
	mu     sync.Mutex
	most   int
	byCode map[string]*Denial
	order  []string // codes, the longest unseen first, some of them again later
}

// NewDenials holds as many denials as most.
func NewDenials(most int) *Denials { return &Denials{most: most, byCode: map[string]*Denial{}} }

// code is eight characters that are the same for the same denial: short enough to be
// read out, and no secret. It is made of what who is denied is told, and so tells
// nothing more.
func code(d *auth.Denied) string {
	text := strings.Join([]string{d.Check.Principal.ARN, d.Check.Principal.KeyID, d.Check.Action, d.Check.Resource, d.Reason}, "\x00")
	sum := sha256.Sum256([]byte(text))
	return base32.StdEncoding.EncodeToString(sum[:5])
}

// Note holds a denial that was decided elsewhere, with a reason that who is denied is
// not told, and returns its code. The code tells nothing of the reason either.
func (l *Denials) Note(ctx context.Context, d *auth.Denied, reason string, at time.Time) string {
	told := *d
	told.Reason = reason
	return l.hold(ctx, code(&auth.Denied{Check: d.Check, Reason: d.Reason}), &told, at)
}

// note holds a denial and returns its code.
func (l *Denials) note(ctx context.Context, d *auth.Denied, at time.Time) string {
	return l.hold(ctx, code(d), d, at)
}

func (l *Denials) hold(ctx context.Context, c string, d *auth.Denied, at time.Time) string {
	if l == nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	held, ok := l.byCode[c]
	if !ok {
		held = &Denial{Code: c, First: at}
		l.byCode[c] = held
	}
	held.Last, held.Denied, held.Request = at, *d, auth.RequestOf(ctx)
	held.Count++
	held.Denied.Code = c
	l.order = append(l.order, c)
	l.trim()
	return c
}

// trim forgets the denials that were not seen for the longest time.
func (l *Denials) trim() {
	if len(l.byCode) <= l.most && len(l.order) <= 4*l.most {
		return
	}
	last := map[string]int{}
	for i, c := range l.order {
		last[c] = i
	}
	var kept []string
	for i, c := range l.order {
		if last[c] == i {
			kept = append(kept, c)
		}
	}
	if len(kept) > l.most {
		cut := len(kept) - l.most*9/10 // so that this is not to be done each time
		for _, c := range kept[:cut] {
			delete(l.byCode, c)
		}
		kept = kept[cut:]
	}
	l.order = kept
}

// Find returns a denial by its code, in letters of either case.
func (l *Denials) Find(code string) (Denial, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.byCode[strings.ToUpper(code)]
	if !ok {
		return Denial{}, false
	}
	return *d, true
}

// Latest are denials, the latest first, as many as most.
func (l *Denials) Latest(most int) (list []Denial) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.byCode {
		list = append(list, *d)
	}
	slices.SortFunc(list, func(a, b Denial) int { return b.Last.Compare(a.Last) })
	return list[:min(most, len(list))]
}
