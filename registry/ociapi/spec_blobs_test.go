package ociapi_test

import (
	"github.com/seed-78150930/berth/registry/digest"
)

// blobContents are what uploads are tried with.
var blobContents = []string{"0123456789", ""}

var uploadRules = []rule{
	{"POST then PUT", "Upon success 202 Accepted with a Location; after the PUT 201 Created, and Location MUST be a pullable blob URL.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			for _, content := range blobContents {
				d.uploaded(d.do("PUT", d.start("app")+"?digest="+of(content).String(), body(content)), content, of(content))
			}
		}), nil},
	{"Single POST", "Successful completion of the request MUST return a 201 Created with a Location, a pullable blob URL.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			for _, content := range blobContents {
				a := d.do("POST", "/v2/app/blobs/uploads/?digest="+of(content).String(), body(content))
				d.uploaded(a, content, of(content))
			}
		}), nil},
	{"Single POST", "Likewise, the digest MUST match the blob's digest.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			want(d.t, d.do("POST", "/v2/app/blobs/uploads/?digest="+of("a").String(), body("b")), 400, "DIGEST_INVALID")
			want(d.t, d.do("PUT", d.start("app")+"?digest="+of("a").String(), body("b")), 400, "DIGEST_INVALID")
			d.hasNot("/v2/app/blobs/"+of("a").String(), "BLOB_UNKNOWN")
		}), nil},
	{"Pushing a blob in chunks", "Each successful chunk MUST have 202 Accepted with Location and Range: 0-<end-of-range>; the closing PUT 201 Created with a Location.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			path := d.start("app")
			path = d.chunk(path, "0-4", "01234", "0-4")
			path = d.chunk(path, "5-9", "56789", "0-9")
			d.uploaded(d.do("PUT", path+"?digest="+of("0123456789").String()), "0123456789", of("0123456789"))
		}), nil},
	{"Pushing a blob in chunks", "The final chunk MAY be uploaded using a PATCH request or it MAY be uploaded in the closing PUT request.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			path := d.chunk(d.start("app"), "0-4", "01234", "0-4")
			a := d.do("PUT", path+"?digest="+of("0123456789").String(), with("Content-Range", "5-9"), body("56789"))
			d.uploaded(a, "0123456789", of("0123456789"))
		}), nil},
	{"Pushing a blob in chunks", "An empty blob is a blob: PATCH with nothing, then PUT.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			path := d.start("app")
			a := d.do("PATCH", path, body(""))
			want(d.t, a, 202, "")
			wantHeader(d.t, a, "Range", "0-0")
			d.uploaded(d.do("PUT", pathOf(d.t, a.header.Get("Location"))+"?digest="+of("").String()), "", of(""))
		}), nil},
	{"Pushing a blob in chunks", "digest-algorithm tells the registry beforehand by what the blob will be known (pull 543). It is a hint.",
		once(func(d *door) {
			for algorithm := range hashes {
				for _, of := range hashes {
					a := d.do("POST", "/v2/app/blobs/uploads/?digest-algorithm="+algorithm)
					want(d.t, a, 202, "")
					path := d.chunk(pathOf(d.t, a.header.Get("Location")), "0-4", "01234", "0-4")
					path = d.chunk(path, "5-9", "56789", "0-9")
					d.uploaded(d.do("PUT", path+"?digest="+of("0123456789").String()), "0123456789", of("0123456789"))
				}
			}
		}), nil},
	{"Pushing a blob in chunks", "A digest-algorithm that the registry does not support is refused with 400 (pull 543).",
		once(func(d *door) {
			d.unchanged(func() {
				for _, algorithm := range []string{"md5", "blake3", "SHA512", "", "sha512:"} {
					want(d.t, d.do("POST", "/v2/app/blobs/uploads/?digest-algorithm="+algorithm), 400, "DIGEST_INVALID")
				}
			})
		}), nil},
	{"Pushing a blob in chunks", "If a chunk is uploaded out of order, the registry MUST respond with a 416; a GET tells the current valid offset and upload location.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			path := d.chunk(d.start("app"), "0-4", "01234", "0-4")
			for _, place := range []string{"6-7", "0-1", "4-5", "100-101"} { // a gap, the first again, an overlap, far off
				a := d.do("PATCH", path, with("Content-Range", place), body("xx"))
				want(d.t, a, 416, "BLOB_UPLOAD_INVALID")
				wantHeader(d.t, a, "Range", "0-4", "Location", base+path)
				a = d.do("GET", path)
				want(d.t, a, 204, "")
				wantHeader(d.t, a, "Range", "0-4", "Location", base+path)
			}
			a := d.do("PUT", path+"?digest="+of("0123456789").String(), with("Content-Range", "7-9"), body("789"))
			want(d.t, a, 416, "BLOB_UPLOAD_INVALID")
			wantHeader(d.t, a, "Range", "0-4", "Location", base+path)
			path = d.chunk(path, "5-9", "56789", "0-9")
			d.uploaded(d.do("PUT", path+"?digest="+of("0123456789").String()), "0123456789", of("0123456789"))
		}), nil},
	{"Pushing a blob in chunks", "The first chunk's range MUST begin with 0.",
		once(func(d *door) {
			path := d.start("app")
			a := d.do("PATCH", path, with("Content-Range", "5-9"), body("56789"))
			want(d.t, a, 416, "BLOB_UPLOAD_INVALID")
			wantHeader(d.t, a, "Location", base+path)
			d.chunk(path, "0-4", "01234", "0-4")
		}), nil},
	{"Cancelling an upload", "DELETE of an upload is answered 204, and after it the upload is not found (distribution-spec, end-14).",
		once(func(d *door) {
			path := d.chunk(d.start("app"), "0-4", "01234", "0-4")
			want(d.t, d.do("DELETE", path), 204, "")
			want(d.t, d.do("GET", path), 404, "BLOB_UPLOAD_UNKNOWN")
			want(d.t, d.do("PATCH", path, body("56789")), 404, "BLOB_UPLOAD_UNKNOWN")
			want(d.t, d.do("PUT", path+"?digest="+sha256Of("01234").String()), 404, "BLOB_UPLOAD_UNKNOWN")
			want(d.t, d.do("DELETE", path), 404, "BLOB_UPLOAD_UNKNOWN")
			d.hasNot("/v2/app/blobs/"+sha256Of("01234").String(), "BLOB_UNKNOWN")
		}), nil},
}

// chunk sends one that goes well, and returns the place of the next.
func (d *door) chunk(path, place, content, received string) string {
	d.t.Helper()
	a := d.do("PATCH", path, with("Content-Range", place), body(content))
	want(d.t, a, 202, "")
	wantHeader(d.t, a, "Range", received)
	return pathOf(d.t, a.header.Get("Location"))
}

var mountRules = []rule{
	{"Mounting a blob", "The response to a successful mount MUST be 201 Created, and MUST contain the Location of the blob.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			for _, content := range blobContents {
				d.upload("from", content, of(content))
				d.uploaded(d.do("POST", "/v2/app/blobs/uploads/?mount="+of(content).String()+"&from=from"), content, of(content))
			}
		}), nil},
	{"Mounting a blob", "The registry MAY treat the from parameter as optional, and it MAY cross-mount the blob if it can be found.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			d.upload("from", "blob", of("blob"))
			d.uploaded(d.do("POST", "/v2/app/blobs/uploads/?mount="+of("blob").String()), "blob", of("blob"))
		}), nil},
	{"Mounting a blob", "If a registry is unable to mount the requested blob, it SHOULD return a 202: the upload session has begun.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			d.upload("from", "blob", of("blob"))
			for _, query := range []string{
				"?mount=" + of("absent").String() + "&from=from", "?mount=" + of("absent").String(), "?mount=" + of("blob").String() + "&from=none",
				"?mount=" + of("blob").String() + "&from=No-Name", "?mount=" + of("blob").String() + "&from=",
			} {
				a := d.do("POST", "/v2/app/blobs/uploads/"+query)
				want(d.t, a, 202, "")
				path := pathOf(d.t, a.header.Get("Location"))
				d.uploaded(d.do("PUT", path+"?digest="+of("other").String(), body("other")), "other", of("other"))
			}
		}), nil},
}
