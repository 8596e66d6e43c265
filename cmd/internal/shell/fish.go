package shell

import (
	"fmt"
	"strings"
)

// fish is what fish reads from `berth env --shell fish | source`.
var fish = Language{
	Function: `function aws --wraps aws --description 'aws at AWS_ENDPOINT_URL'
    command aws --endpoint-url $AWS_ENDPOINT_URL $argv
end
`,
	set:   func(name, value string) string { return fmt.Sprintf("set -gx %s %s\n", name, fishQuote(value)) },
	unset: func(name, _ string) string { return "set -e " + name + "\n" },
	fail:  "false\n",
}

// fishQuote writes text as one word of fish. Between single quotes a backslash
// stands for itself, but before a quote or a backslash (fish: Quotes).
func fishQuote(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
