package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Amount is a number of bytes, or a share of something: 2GiB, 1%, or 0 for none.
type Amount string

var percent = regexp.MustCompile(`^(100|[1-9]?[0-9])%$`)

// Of is the amount in bytes where the whole is so large. A share is at most so much.
func (a Amount) Of(whole, most uint64) uint64 {
	if m := percent.FindStringSubmatch(string(a)); m != nil {
		share, _ := strconv.ParseUint(m[1], 10, 8) // at most 100
		return min(whole/100*share, most)
	}
	bytes, _ := ParseSize(string(a)) // 0 is none
	return uint64(bytes)
}

func parseAmount(text string) (Amount, error) {
	if text == "0" || percent.MatchString(text) {
		return Amount(text), nil
	}
	if _, err := ParseSize(text); err != nil {
		meant := sizeMeant(text)
		if number, of := strings.CutSuffix(text, " %"); of {
			meant = number + "%"
		}
		return "", fmt.Errorf("%.60q is neither a size such as 2GiB nor a share such as 1%%, nor 0%s", text, mean(meant))
	}
	return Amount(text), nil
}
