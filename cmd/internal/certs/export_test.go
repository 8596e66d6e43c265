package certs

// OpenFilesAt is OpenFiles with a clock, which tests turn.
var OpenFilesAt = openFiles

// MaxLeaves is how many certificates are kept.
const MaxLeaves = maxLeaves
