package crash_test

import "context"

var ctx = context.Background()
