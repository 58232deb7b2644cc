//go:build !unix

package await

import "time"

var began = time.Now()

// Processor is the time that has passed: no more is known here.
func Processor() time.Duration { return time.Since(began) }
