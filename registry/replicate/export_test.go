package replicate

// Opening is for tests.
var Opening = opening
