//go:build !unix

package jetstream

// lockDir does nothing where the system has no flock.
func lockDir(string) (unlock func(), err error) { return func() {}, nil }
