package media

import "context"

// Remove removes blobs that no row names any more. Those that one does, because
// another message has the same bytes, stay.
func (l *Library) Remove(ctx context.Context, keys []string) error {
	unused, err := l.opts.DB.UnusedBlobs(ctx, keys)
	if err != nil {
		return err
	}
	for _, key := range unused {
		if err := l.opts.Blobs.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}
