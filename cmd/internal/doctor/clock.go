package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth/sigv4"
)

// Of the clocks: AWS's services take signatures of five minutes, Berth those of
// sigv4.MaxSkew. A Date header has whole seconds.
const (
	drifting    = 30 * time.Second
	amazonsSkew = 5 * time.Minute
)

func checkClock(ctx context.Context, v *visit) []Finding {
	return append([]Finding{v.skew(ctx)}, v.ntp(ctx)...)
}

// skew compares this machine's clock with the server's.
func (v *visit) skew(ctx context.Context) Finding {
	f := Finding{Check: "clock", Status: Skipped, Found: "the server does not tell the time"}
	if v.base == nil {
		return f
	}
	a := v.probe(ctx, v.base.String())
	if a.err != nil {
		return f
	}
	theirs, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return f
	}
	off := a.asked.Sub(theirs.Add(time.Second / 2)).Round(time.Second)
	f.Status, f.Found = OK, fmt.Sprintf("this machine and the server are %s apart", off.Abs())
	switch off := off.Abs(); {
	case off > sigv4.MaxSkew:
		f.Status = Fail
		f.Found += fmt.Sprintf(": signatures older or newer than %s are refused", sigv4.MaxSkew)
	case off > amazonsSkew:
		f.Status = Warn
		f.Found += fmt.Sprintf(": the server takes signatures within %s, Amazon only within %s", sigv4.MaxSkew, amazonsSkew)
	case off > drifting:
		f.Status = Warn
	}
	if f.Status != OK {
		f.Mend = setClock(v.OS)
	}
	return f
}

func setClock(os string) string {
	if os == "darwin" {
		return "sudo sntp -sS time.apple.com"
	}
	return "sudo timedatectl set-ntp true"
}

// ntp says whether the clock is kept right, where systemd knows.
func (v *visit) ntp(ctx context.Context) []Finding {
	program, err := v.Look("timedatectl")
	if err != nil {
		return nil
	}
	out, err := v.Run(ctx, program, "show", "--property=NTPSynchronized", "--value")
	switch strings.TrimSpace(out) {
	case "yes":
		return []Finding{{"clock.ntp", OK, "this machine's clock is kept right by NTP", ""}}
	case "no":
		return []Finding{{"clock.ntp", Warn, "this machine's clock is not kept right by NTP", setClock(v.OS)}}
	}
	if err != nil {
		return []Finding{{"clock.ntp", Skipped, "systemd does not say whether NTP keeps the clock right", ""}}
	}
	return nil
}
