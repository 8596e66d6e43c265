package config_test

import (
	"strings"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/config"
)

func TestAmounts(t *testing.T) {
	const disk, most = 1000 << 20, 50 << 20
	for text, want := range map[string]uint64{
		"0": 0, "0%": 0, "1%": 10 << 20, "5%": 50 << 20, "7%": 50 << 20, "100%": 50 << 20, "2GiB": 2 << 30, "512": 512,
	} {
		c := load(t, config.Sources{Flags: map[string]string{"disk-low": text}})
		if got := c.DiskLow.Of(disk, most); got != want {
			t.Errorf("%s is %d bytes, want %d", text, got, want)
		}
	}
	for text, word := range map[string]string{"101%": "a share such as", "-1": "neither", "1 %": `"1%"`, "2GB": `"2GiB"`, "": "neither", "0.5%": "neither"} {
		_, err := config.Load(config.Sources{Flags: map[string]string{"disk-stop": text}})
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %v, want %s", text, err, word)
		}
	}
}
