package ecrapi

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// targetPrefix is what X-Amz-Target begins with (model: metadata).
const targetPrefix = "AmazonEC2ContainerRegistry_V20150921."

// operationName is the operation that a request asks for, "" if the prefix is
// another one.
func operationName(r *http.Request) string {
	name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	if !ok {
		return ""
	}
	return name
}

const contentType = "application/x-amz-json-1.1"

// checkHead refuses what is no request of the protocol. A request without a
// Content-Type passes.
func checkHead(r *http.Request) error {
	if r.Method != http.MethodPost {
		return &failure{Type: unknownOperationType, Message: "The API takes POST requests alone.", status: http.StatusNotFound}
	}
	given := r.Header.Get("Content-Type")
	if given == "" {
		return nil
	}
	switch media, _, _ := mime.ParseMediaType(given); media {
	case contentType, "application/x-amz-json-1.0", "application/json":
		return nil
	}
	return serialization("The Content-Type is none of %s, application/x-amz-json-1.0, application/json", contentType)
}

func unknownOperation(r *http.Request) error {
	f := &failure{Type: unknownOperationType, status: http.StatusNotFound}
	if r.Header.Get("X-Amz-Target") == "" {
		f.Message = "The header X-Amz-Target, which names the operation, is missing."
		return f
	}
	f.Message = "The header X-Amz-Target names no operation of " + strings.TrimSuffix(targetPrefix, ".") + "."
	return f
}

// write answers with v as compact JSON and no newline at its end.
func write(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // no response type holds what JSON cannot
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	body := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}
