package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// maxMedia is how many files of one message are fetched; what is beyond is in a
// mail's raw form.
const maxMedia = 1000

// sqlMedia notes which files of the messages just stored are to be fetched.
const sqlMedia = `
INSERT INTO parley_media (tenant_id, message_id, position, channel_id, ref)
SELECT m.tenant_id, m.id, i.position, m.channel_id, i.ref
  FROM unnest($1::integer[], $2::bigint[], $3::smallint[], $4::text[]) AS i (chat_id, seq, position, ref)
  JOIN crm_chat_messages m ON m.chat_id = i.chat_id AND m.seq = i.seq`

// sqlPayloads keeps what a provider sent where only the message knows of it.
const sqlPayloads = `
INSERT INTO parley_payloads (message_id, tenant_id, blob_key, raw)
SELECT m.id, m.tenant_id, nullif(i.blob_key, ''), i.raw
  FROM unnest($1::integer[], $2::bigint[], $3::text[], $4::json[]) AS i (chat_id, seq, blob_key, raw)
  JOIN crm_chat_messages m ON m.chat_id = i.chat_id AND m.seq = i.seq`

// queueMedia queues the rows of what the batch's messages bring besides text;
// mostly there is none.
func (b *batch) queueMedia(q *pgx.Batch, kept []*inbound, seqs []int64) {
	var media struct {
		chats, seqs []int64
		positions   []int16
		refs        []string
	}
	var payloads struct {
		chats, seqs []int64
		keys        []string
		raw         [][]byte
	}
	for i, in := range kept {
		ev := in.event
		positions, refs := mediaOf(ev.Content)
		for j := range positions {
			media.chats, media.seqs = append(media.chats, in.who.chat), append(media.seqs, seqs[i])
			media.positions, media.refs = append(media.positions, positions[j]), append(media.refs, refs[j])
		}
		var raw []byte
		if b.late && ev.RawRef == "" && inRaw(ev.Content) {
			raw = ev.Raw // not on the bus any more, perhaps
		}
		if ev.RawRef == "" && len(raw) == 0 {
			continue
		}
		payloads.chats, payloads.seqs = append(payloads.chats, in.who.chat), append(payloads.seqs, seqs[i])
		payloads.keys, payloads.raw = append(payloads.keys, ev.RawRef), append(payloads.raw, raw)
	}
	if len(media.chats) > 0 {
		q.Queue(sqlMedia, media.chats, media.seqs, media.positions, media.refs)
	}
	if len(payloads.chats) > 0 {
		q.Queue(sqlPayloads, payloads.chats, payloads.seqs, payloads.keys, payloads.raw)
	}
}

// mediaOf is the places of a content's files, and what the provider calls them.
func mediaOf(c *events.Content) (positions []int16, refs []string) {
	for i := range min(len(c.Attachments), maxMedia) {
		ref := c.Attachments[i].UniqueRef
		if ref == "" {
			ref = c.Attachments[i].Ref
		}
		positions, refs = append(positions, int16(i)), append(refs, ref)
	}
	return positions, refs
}

func inRaw(c *events.Content) bool {
	for i := range c.Attachments {
		if c.Attachments[i].InRaw {
			return true
		}
	}
	return false
}

// replaceMedia brings a message's files in line with its edited content: what
// was replaced goes, what is new is to be fetched.
func replaceMedia(ctx context.Context, tx pgx.Tx, message int64, c *events.Content) error {
	positions, refs := mediaOf(c)
	var q pgx.Batch
	q.Queue(`
		WITH gone AS (
		    DELETE FROM parley_media m WHERE message_id = $1 AND NOT EXISTS (
		        SELECT FROM unnest($2::smallint[], $3::text[]) AS w (position, ref) WHERE w.position = m.position AND w.ref = m.ref)
		    RETURNING upload_id
		)
		DELETE FROM crm_chat_message_attachments a USING gone WHERE a.message_id = $1 AND a.upload_id = gone.upload_id`,
		message, positions, refs)
	if len(positions) > 0 {
		q.Queue(`
			INSERT INTO parley_media (tenant_id, message_id, position, channel_id, ref)
			SELECT m.tenant_id, m.id, w.position, m.channel_id, w.ref
			  FROM crm_chat_messages m, unnest($2::smallint[], $3::text[]) AS w (position, ref)
			 WHERE m.id = $1 AND NOT EXISTS (
			       SELECT FROM parley_media x WHERE x.message_id = m.id AND x.position = w.position)`,
			message, positions, refs)
	}
	return tx.SendBatch(ctx, &q).Close()
}
