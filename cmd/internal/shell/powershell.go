package shell

import (
	"fmt"
	"strings"
)

// powershell is what PowerShell evaluates, of Windows or not:
// `berth env --shell powershell | Out-String | Invoke-Expression`.
var powershell = Language{
	Function: `function aws { & (Get-Command -Name aws -CommandType Application | Select-Object -First 1) --endpoint-url $env:AWS_ENDPOINT_URL @args }
`,
	set:   func(name, value string) string { return fmt.Sprintf("$env:%s = %s\n", name, psQuote(value)) },
	unset: func(name, _ string) string { return "Remove-Item -Path Env:" + name + " -ErrorAction Ignore\n" },
	fail:  "Write-Error 'berth: no server was found'\n",
}

// psQuote writes text as a string of PowerShell's that expands nothing. Within
// it a quote is doubled, and so are the curly ones, which PowerShell takes for
// the same (about_Quoting_Rules; CharTraits in its tokenizer).
func psQuote(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune("'\u2018\u2019\u201a\u201b", r) {
			b.WriteRune(r)
		}
		b.WriteRune(r)
	}
	return "'" + b.String() + "'"
}
