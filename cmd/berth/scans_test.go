package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/scan/scantest"
)

// client asks the server of a script with the root's key.
type client struct {
	ts   *testscript.TestScript
	key  sigv4test.Key
	sent map[string]bool // layers by digest
}

func newClient(ts *testscript.TestScript) client {
	return client{ts, sigv4test.Key{ID: ts.Getenv("BERTH_ROOT_ACCESS_KEY_ID"), Secret: ts.Getenv("BERTH_ROOT_SECRET_ACCESS_KEY"), Region: "us-east-1", Service: "ecr"}, map[string]bool{}}
}

// call calls an operation, which must not be refused.
func (c client) call(op string, in map[string]any) map[string]any {
	body, err := json.Marshal(in)
	c.ts.Check(err)
	req, err := http.NewRequest(http.MethodPost, c.ts.Getenv("URL")+"/", bytes.NewReader(body))
	c.ts.Check(err)
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+op)
	c.key.Sign(req, string(body), time.Now())
	resp, err := http.DefaultClient.Do(req)
	c.ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	c.ts.Check(err)
	if resp.StatusCode != http.StatusOK {
		c.ts.Fatalf("%s: %s %s", op, resp.Status, text)
	}
	var out map[string]any
	c.ts.Check(json.Unmarshal(text, &out))
	return out
}

// upload sends a layer by the API, and describes it.
func (c client) upload(repo, mediaType string, content []byte) map[string]any {
	d := digest.FromBytes(digest.SHA256, content).String()
	of := map[string]any{"mediaType": mediaType, "digest": d, "size": len(content)}
	if c.sent[d] {
		return of
	}
	c.sent[d] = true
	id := c.call("InitiateLayerUpload", map[string]any{"repositoryName": repo})["uploadId"]
	c.call("UploadLayerPart", map[string]any{
		"repositoryName": repo, "uploadId": id, "partFirstByte": 0, "partLastByte": len(content) - 1, "layerPartBlob": content,
	})
	c.call("CompleteLayerUpload", map[string]any{"repositoryName": repo, "uploadId": id, "layerDigests": []string{d}})
	return of
}

// pushimages REPOSITORY N pushes so many images with vulnerable packages, of which no two
// are alike, under the tags 0 to N-1, to a new repository.
func pushimages(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	c := newClient(ts)
	c.call("CreateRepository", map[string]any{"repositoryName": args[0]})
	for i := range n {
		img := scantest.Debian("12")
		img.Layers = append(img.Layers, scantest.Gzip(scantest.File{Name: "number", Body: fmt.Sprint(i)}))
		m := map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
		m["config"] = c.upload(args[0], "application/vnd.oci.image.config.v1+json", img.Config())
		var layers []any
		for _, l := range img.Layers {
			layers = append(layers, c.upload(args[0], l.MediaType, l.Bytes))
		}
		m["layers"] = layers
		text, err := json.Marshal(m)
		ts.Check(err)
		c.call("PutImage", map[string]any{"repositoryName": args[0], "imageTag": fmt.Sprint(i), "imageManifest": string(text)})
	}
}

// scansend REPOSITORY N [FROM] waits until the scans of the images 0 to N-1 have come to
// their end, well and with findings. With FROM it is enough that so many have.
func scansend(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	enough := n
	if len(args) > 2 {
		enough, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	c, ended := newClient(ts), map[int]bool{}
	for over := time.Now().Add(5 * time.Minute); len(ended) < enough; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(over) {
			ts.Fatalf("%d of %d scans have ended", len(ended), n)
		}
		for i, looked := 0, 0; i < n && looked < 5 && len(ended) < enough; i++ {
			if ended[i] {
				continue
			}
			looked++ // they are begun in order, but for those that a server died with
			out := c.call("DescribeImageScanFindings", map[string]any{"repositoryName": args[0], "imageId": map[string]any{"imageTag": fmt.Sprint(i)}})
			status, _ := out["imageScanStatus"].(map[string]any)
			findings, _ := out["imageScanFindings"].(map[string]any)
			switch {
			case status["status"] == "IN_PROGRESS" && findings == nil:
			case status["status"] == "COMPLETE" && len(findings["findings"].([]any)) > 0:
				ended[i] = true
			default:
				ts.Fatalf("the scan of %d is %v with %v", i, status, findings)
			}
		}
	}
}

// startscans REPOSITORY N asks for scans of the images 0 to N-1.
func startscans(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	c := newClient(ts)
	for i := range n {
		c.call("StartImageScan", map[string]any{"repositoryName": args[0], "imageId": map[string]any{"imageTag": fmt.Sprint(i)}})
	}
}
