package bench

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// members are those of a call's JSON.
type members = map[string]any

// callError is a call that was refused.
type callError struct {
	op      string
	status  int
	code    string // such as "ThrottlingException"; "" if the answer has none
	message string
}

// Error implements error.
func (e *callError) Error() string {
	if e.code == "" {
		return fmt.Sprintf("%s: %d", e.op, e.status)
	}
	return fmt.Sprintf("%s: %d %s: %s", e.op, e.status, e.code, e.message)
}

// The protocol of ECR's API (AWS JSON 1.1).
const (
	callPrefix = "AmazonEC2ContainerRegistry_V20150921."
	callType   = "application/x-amz-json-1.1"
)

// prepare is a call with its signature, which is not what the server takes time
// for and so is not counted.
func (w *worker) prepare(ctx context.Context, op string, body []byte) (r request, err error) {
	w.aside(func() {
		var signed *http.Request
		if signed, err = http.NewRequestWithContext(ctx, http.MethodPost, w.target.API+"/", nil); err != nil {
			return
		}
		signed.Header.Set("Content-Type", callType)
		signed.Header.Set("X-Amz-Target", callPrefix+op)
		signed.ContentLength = int64(len(body)) // which the signer signs if it is told
		if err = w.target.Signer.Sign(ctx, signed, body, time.Now()); err != nil {
			return
		}
		var lines strings.Builder
		for _, name := range []string{"X-Amz-Target", "X-Amz-Date", "X-Amz-Security-Token"} {
			if value := signed.Header.Get(name); value != "" {
				lines.WriteString(name + ": " + value + "\r\n")
			}
		}
		r = request{
			method: http.MethodPost, base: w.target.API, path: "/", auth: signed.Header.Get("Authorization"), kind: callType,
			header: lines.String(), size: int64(len(body)), body: net.Buffers{body},
		}
	})
	return r, err
}

// send makes a call that is prepared. The answer is read whole if it is to be
// kept.
func (w *worker) send(ctx context.Context, op string, r request, keep bool) ([]byte, error) {
	r.keep = keep
	got, err := w.wire.do(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if got.status == http.StatusOK {
		return got.body, nil
	}
	var said struct {
		Type    string `json:"__type"`
		Message string `json:"message"` // in any case of letters
	}
	_ = json.Unmarshal(got.body, &said) // what is not JSON has no code
	_, code, found := strings.Cut(said.Type, "#")
	if !found {
		code = said.Type
	}
	if len(said.Message) > longestShown {
		said.Message = said.Message[:longestShown] + "..."
	}
	return nil, &callError{op, got.status, code, said.Message}
}

// call makes a call and returns its answer.
func (w *worker) call(ctx context.Context, op string, in members) ([]byte, error) {
	r, err := w.prepare(ctx, op, mustJSON(in))
	if err != nil {
		return nil, err
	}
	return w.send(ctx, op, r, true)
}

// longestPart is how much of a layer Amazon's clients send at a time at most
// (ECR API reference, UploadLayerPart: 20 MiB; InitiateLayerUpload says what is
// preferred).
const longestPart = 10 << 20

// uploadLayer uploads a layer in parts. Encoding and signing them is not
// counted.
func (w *worker) uploadLayer(ctx context.Context, repo string, b blob) error {
	answer, err := w.call(ctx, "InitiateLayerUpload", members{"repositoryName": repo})
	if err != nil {
		return err
	}
	var begun struct {
		UploadID string `json:"uploadId"`
		PartSize int64  `json:"partSize"`
	}
	if err := json.Unmarshal(answer, &begun); err != nil || begun.UploadID == "" {
		return fmt.Errorf("InitiateLayerUpload answers %.100q", answer)
	}
	if begun.PartSize <= 0 || begun.PartSize > longestPart {
		begun.PartSize = longestPart
	}
	content := b.reader()
	for from := int64(0); from < b.size; from += begun.PartSize {
		var body []byte
		w.aside(func() { body = partOf(repo, begun.UploadID, from, content.Next(int(begun.PartSize))) })
		r, err := w.prepare(ctx, "UploadLayerPart", body)
		if err != nil {
			return err
		}
		if _, err := w.send(ctx, "UploadLayerPart", r, false); err != nil {
			return err
		}
	}
	_, err = w.call(ctx, "CompleteLayerUpload", members{"repositoryName": repo, "uploadId": begun.UploadID, "layerDigests": []string{b.digest}})
	return err
}

// partOf is the body of a call that uploads a part, with its members in the
// order of Amazon's clients.
func partOf(repo, upload string, from int64, content []byte) []byte {
	head := fmt.Appendf(nil, `{"repositoryName":%q,"uploadId":%q,"partFirstByte":%d,"partLastByte":%d,"layerPartBlob":"`,
		repo, upload, from, from+int64(len(content))-1)
	body := make([]byte, 0, len(head)+base64.StdEncoding.EncodedLen(len(content))+2)
	body = base64.StdEncoding.AppendEncode(append(body, head...), content)
	return append(body, `"}`...)
}

// reader is the content of a blob.
func (b blob) reader() *bytes.Buffer { return bytes.NewBuffer(bytes.Join(b.parts, nil)) }

// putImage pushes an image that has its layers there.
func (w *worker) putImage(ctx context.Context, im image) error {
	var r request
	var err error
	w.aside(func() {
		r, err = w.prepare(ctx, "PutImage", mustJSON(members{
			"repositoryName": im.repo, "imageManifest": string(bytes.Join(im.manifest.parts, nil)),
			"imageManifestMediaType": typeManifest, "imageTag": im.tag,
		}))
	})
	if err == nil {
		_, err = w.send(ctx, "PutImage", r, false)
	}
	return err
}
