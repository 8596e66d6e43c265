package events

import (
	"encoding/json"
	"io"
)

// CloudEvent is the body that a webhook of that format is sent of an envelope.
func CloudEvent(envelope json.RawMessage) ([]byte, error) {
	h := hook{Webhook: Webhook{Format: CloudEvents}}
	body, _, err := h.body(envelope)
	return body, err
}

// WrapFile has what is written to the file go through what wrap makes of it.
func (o *Options) WrapFile(wrap func(io.Writer) io.Writer) { o.wrapFile = wrap }
