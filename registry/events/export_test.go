package events

import "io"

// WrapFile has what is written to the file go through what wrap makes of it.
func (o *Options) WrapFile(wrap func(io.Writer) io.Writer) { o.wrapFile = wrap }
