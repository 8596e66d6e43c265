package lifecycle

import (
	"bytes"
	"encoding/json"
)

// Compact is a policy's text as ECR keeps it: without white space outside of
// strings, names in their order. The text is one that Parse took; any other comes
// back as it is.
func Compact(text string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(text)) != nil {
		return text
	}
	return b.String()
}
