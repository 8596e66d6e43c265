package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written with or without a unit: 4194304, 4MiB.
type Size int64

var units = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// String writes the size with the largest unit that leaves no fraction.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// ParseSize reads a size such as 512KiB, 4MiB or 10GiB, or a number of bytes.
func ParseSize(text string) (Size, error) {
	number, unit := text, int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%.60q is not a size such as 512KiB, 4MiB or 10GiB%s", text, mean(sizeMeant(text)))
	}
	return Size(n * unit), nil
}

var decimalSize = regexp.MustCompile(`^([1-9][0-9]{0,6}) ?([kmgtKMGT])[bB]?$`)

// sizeMeant guesses the size that "4MB", "4m" or "4 mb" are for.
func sizeMeant(text string) string {
	if m := decimalSize.FindStringSubmatch(text); m != nil {
		return m[1] + strings.ToUpper(m[2]) + "iB"
	}
	return ""
}

// parse makes a value of the setting's type of text, checked as far as that
// can be done without the other settings.
func (s Setting) parse(text string) (any, error) {
	switch s.Type {
	case "bool":
		return parseBool(text)
	case "int":
		return parseCount(text, s.zero)
	case "duration":
		return parseDuration(text, s.zero)
	case "size":
		if s.zero && text == "0" {
			return Size(0), nil
		}
		return ParseSize(text)
	case "amount":
		return parseAmount(text)
	}
	if s.oneof != nil {
		return text, checkOneOf(text, s.oneof)
	}
	return text, nil
}

func parseBool(text string) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	meant := ""
	switch strings.ToLower(text) {
	case "yes", "on", "y", "1", "true", "t":
		meant = "true"
	case "no", "off", "n", "0", "false", "f":
		meant = "false"
	}
	return false, fmt.Errorf("%.60q is neither true nor false%s", text, mean(meant))
}

func parseCount(text string, zero bool) (int, error) {
	least := 1
	if zero {
		least = 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return 0, fmt.Errorf("%.60q is not a whole number of at least %d, such as 100", text, least)
	}
	return n, nil
}

func parseDuration(text string, zero bool) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d == 0 && !zero {
		return 0, fmt.Errorf("%.60q is not a duration such as 30s, 10m or 24h%s", text, mean(durationMeant(text)))
	}
	return d, nil
}

var dayOrNumber = regexp.MustCompile(`^([1-9][0-9]{0,4}) ?(d|days?|s|sec|seconds?|m|min|minutes?|h|hours?)?$`)

// durationMeant guesses the duration that "30", "7d" or "10 minutes" are for.
func durationMeant(text string) string {
	m := dayOrNumber.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	if strings.HasPrefix(m[2], "d") {
		days, _ := strconv.Atoi(m[1]) // five digits at most
		return strconv.Itoa(24*days) + "h"
	}
	return m[1] + (m[2] + "s")[:1]
}

func checkOneOf(text string, list []string) error {
	for _, v := range list {
		if text == v {
			return nil
		}
	}
	return fmt.Errorf("%.60q is none of %s%s", text, strings.Join(list, ", "), mean(nearest(text, list)))
}
