package store_test

import (
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/store/storetest"
)

// reaches has, for every method that takes a tenant, a call with another tenant's
// ids. Methods that name nothing of another's only have to see nothing of it.
func reaches() map[string]func(f *foreign) {
	by := inbox.Actor{Kind: inbox.Operator}
	own := func(*foreign) {} // makes what is its own, and names nothing: its row bears the tenant that was given
	return map[string]func(f *foreign){
		"Channels": func(f *foreign) { l, err := f.db.Channels(f.Context(), f.tenant); f.none("Channels", len(l), err) },
		"Channel":  func(f *foreign) { _, err := f.db.Channel(f.Context(), f.tenant, f.channel); f.missing("Channel", err) },
		"UpdateChannel": func(f *foreign) {
			_, err := f.db.UpdateChannel(f.Context(), f.tenant, f.channel, store.ChannelChange{Name: new("taken")})
			f.missing("UpdateChannel", err)
		},
		"ChannelOfKey": func(f *foreign) {
			_, found, err := f.db.ChannelOfKey(f.Context(), f.tenant, "key")
			f.none("ChannelOfKey", count(found), err)
		},
		"PauseChannel": func(f *foreign) {
			_, err := f.db.PauseChannel(f.Context(), f.tenant, f.channel, true)
			f.missing("PauseChannel", err)
		},
		"ShowTyping": func(f *foreign) {
			_, err := f.db.ShowTyping(f.Context(), f.tenant, f.chat, "", nil)
			f.missing("ShowTyping", err)
		},
		"RotateChannel": func(f *foreign) {
			_, err := f.db.RotateChannel(f.Context(), f.tenant, f.channel, []byte("x"), "y")
			f.missing("RotateChannel", err)
		},
		"Chats": func(f *foreign) {
			l, _, err := f.db.Chats(f.Context(), f.tenant, store.ChatPage{})
			f.none("Chats", len(l), err)
		},
		"Chat": func(f *foreign) { _, err := f.db.Chat(f.Context(), f.tenant, f.chat); f.missing("Chat", err) },
		"Messages": func(f *foreign) {
			l, _, err := f.db.Messages(f.Context(), f.tenant, f.chat, store.MessagePage{})
			f.none("Messages", len(l), err)
		},
		"Message": func(f *foreign) { _, err := f.db.Message(f.Context(), f.tenant, f.message); f.missing("Message", err) },
		"QuarantineList": func(f *foreign) {
			l, err := f.db.QuarantineList(f.Context(), store.QuarantineScope{Tenant: f.tenant}, store.QuarantinePage{All: true, Limit: 10})
			f.none("QuarantineList", len(l), err)
		},
		"Quarantined": func(f *foreign) {
			_, err := f.db.Quarantined(f.Context(), store.QuarantineScope{Tenant: f.tenant}, f.quarantined)
			f.missing("Quarantined", err)
		},
		"ReplayQuarantined": func(f *foreign) {
			_, err := f.db.ReplayQuarantined(f.Context(), store.QuarantineScope{Tenant: f.tenant}, f.quarantined, nil)
			f.missing("ReplayQuarantined", err)
		},
		"PreviewQuarantined": func(f *foreign) {
			_, err := f.db.PreviewQuarantined(f.Context(), store.QuarantineScope{Tenant: f.tenant}, f.quarantined, nil)
			f.missing("PreviewQuarantined", err)
		},
		"Journey": func(f *foreign) { _, err := f.db.Journey(f.Context(), f.tenant, f.message); f.missing("Journey", err) },
		"AlertSettings": func(f *foreign) {
			_, err := f.db.AlertSettings(f.Context(), f.tenant, f.user)
			f.missing("AlertSettings", err)
		},
		"SetAlertSettings": func(f *foreign) {
			f.missing("SetAlertSettings", f.db.SetAlertSettings(f.Context(), f.tenant, f.user, inbox.DefaultAlerts()))
		},
		"AlertBot": func(f *foreign) {
			id, err := f.db.AlertBot(f.Context(), f.tenant)
			f.none("AlertBot", len(id), err)
		},
		"SetAlertBot": func(f *foreign) { f.missing("SetAlertBot", f.db.SetAlertBot(f.Context(), f.tenant, f.channel)) },
		// The workers' own: what they name, they have found.
		"ClaimAlert":  own,
		"SettleAlert": own,
		"MarkRead": func(f *foreign) {
			n, err := f.db.MarkRead(f.Context(), f.tenant, f.chat, 9)
			f.none("MarkRead", int(n), err)
		},
		"MarkUnread": func(f *foreign) {
			_, err := f.db.MarkUnread(f.Context(), f.tenant, f.chat, 1)
			f.missing("MarkUnread", err)
		},
		"ChatCounts": func(f *foreign) {
			c, err := f.db.ChatCounts(f.Context(), f.tenant, f.user)
			f.none("ChatCounts", int(c.Open.Chats+c.Mine.Chats+c.Closed.Chats)+len(c.Teams), err)
		},
		"SetChatStatus": func(f *foreign) {
			_, err := f.db.SetChatStatus(f.Context(), f.tenant, by, f.chat, store.SetStatus{Status: inbox.ChatClosed})
			f.missing("SetChatStatus", err)
		},
		"AssignChat": func(f *foreign) {
			_, err := f.db.AssignChat(f.Context(), f.tenant, by, f.chat, store.Assignment{User: f.user, Team: f.team})
			f.missing("AssignChat", err)
		},
		"LabelChat": func(f *foreign) {
			_, err := f.db.LabelChat(f.Context(), f.tenant, by, f.chat, f.label, true)
			f.missing("LabelChat", err)
		},
		"Teams": func(f *foreign) { l, err := f.db.Teams(f.Context(), f.tenant); f.none("Teams", len(l), err) },
		"AddTeam": func(f *foreign) {
			_, err := f.db.AddTeam(f.Context(), f.tenant, by, "Theirs", []int64{f.user}, "")
			f.missing("AddTeam", err)
		},
		"ChangeTeam": func(f *foreign) {
			_, err := f.db.ChangeTeam(f.Context(), f.tenant, by, f.team, store.TeamChange{Name: new("taken")})
			f.missing("ChangeTeam", err)
		},
		"DeleteTeam": func(f *foreign) { f.missing("DeleteTeam", f.db.DeleteTeam(f.Context(), f.tenant, by, f.team)) },
		"Labels":     func(f *foreign) { l, err := f.db.Labels(f.Context(), f.tenant); f.none("Labels", len(l), err) },
		"ChangeLabel": func(f *foreign) {
			_, err := f.db.ChangeLabel(f.Context(), f.tenant, by, f.label, new("taken"), nil, 0)
			f.missing("ChangeLabel", err)
		},
		"DeleteLabel": func(f *foreign) { f.missing("DeleteLabel", f.db.DeleteLabel(f.Context(), f.tenant, by, f.label)) },
		"Notes": func(f *foreign) {
			_, err := f.db.Notes(f.Context(), f.tenant, f.chat, 0, 10)
			f.missing("Notes", err)
		},
		"AddNote": func(f *foreign) {
			_, err := f.db.AddNote(f.Context(), f.tenant, by, f.chat, f.user, "x", "")
			f.missing("AddNote", err)
		},
		"ChangeNote": func(f *foreign) {
			_, err := f.db.ChangeNote(f.Context(), f.tenant, by, f.note, f.user, true, nil, 0)
			f.missing("ChangeNote", err)
		},
		"Draft": func(f *foreign) {
			_, err := f.db.Draft(f.Context(), f.tenant, f.chat, f.user)
			f.missing("Draft", err)
		},
		"PutDraft": func(f *foreign) {
			f.missing("PutDraft", f.db.PutDraft(f.Context(), f.tenant, f.user, inbox.Draft{ChatID: f.chat, Text: "x"}))
		},
		"Client": func(f *foreign) { _, err := f.db.Client(f.Context(), f.tenant, f.client); f.missing("Client", err) },
		"Clients": func(f *foreign) {
			for _, search := range []string{"", "cy", "cyclist"} {
				l, _, err := f.db.Clients(f.Context(), f.tenant, store.ClientPage{Search: search})
				for _, c := range l {
					if c.ID == f.client {
						f.none("Clients", 1, err)
					}
				}
				f.none("Clients", 0, err)
			}
		},
		"ContactOwners": func(f *foreign) {
			l, err := f.db.ContactOwners(f.Context(), f.tenant, []store.NewContact{{Type: inbox.ContactTelegram, Value: "7"}, {Type: inbox.ContactEmail, Value: f.email}})
			f.none("ContactOwners", int(l[0]+l[1]), err)
		},
		"ClientsOfKeys": func(f *foreign) {
			l, err := f.db.ClientsOfKeys(f.Context(), f.tenant, []string{"key"})
			f.none("ClientsOfKeys", int(l[0]), err)
		},
		"FillClient": func(f *foreign) {
			_, err := f.db.FillClient(f.Context(), f.tenant, by, f.client, store.ClientChange{LastName: new("taken")}, nil)
			f.missing("FillClient", err)
		},
		"ChangeClient": func(f *foreign) {
			_, err := f.db.ChangeClient(f.Context(), f.tenant, by, f.client, 0, store.ClientChange{FirstName: new("taken")})
			f.missing("ChangeClient", err)
		},
		"DeleteClient": func(f *foreign) { f.missing("DeleteClient", f.db.DeleteClient(f.Context(), f.tenant, by, f.client)) },
		"AddContact": func(f *foreign) {
			_, err := f.db.AddContact(f.Context(), f.tenant, by, f.client, store.NewContact{Type: inbox.ContactOther, Value: "x"}, "")
			f.missing("AddContact", err)
		},
		"ChangeContact": func(f *foreign) {
			_, err := f.db.ChangeContact(f.Context(), f.tenant, by, f.client, f.contact, 0, store.NewContact{Type: inbox.ContactOther, Value: "x"})
			f.missing("ChangeContact", err)
		},
		"RemoveContact": func(f *foreign) {
			_, err := f.db.RemoveContact(f.Context(), f.tenant, by, f.client, f.contact)
			f.missing("RemoveContact", err)
		},
		"Reply": func(f *foreign) {
			_, err := f.db.Reply(f.Context(), store.Reply{Tenant: f.tenant, Chat: f.chat, Channel: f.channel, Text: "x", User: f.user, Force: true})
			f.missing("Reply", err)
		},
		"Act": func(f *foreign) {
			_, err := f.db.Act(f.Context(), store.Act{Tenant: f.tenant, Message: f.message, Action: inbox.Action{Text: new("x"), User: f.user}})
			f.missing("Act", err)
		},
		"PutSenderHealth": func(f *foreign) {
			err := f.db.PutSenderHealth(f.Context(), events.Channel{ID: f.channel, Tenant: f.tenant}, events.Degraded, "x")
			f.none("PutSenderHealth", 0, err)
		},
		"ForgetSenderHealth": func(f *foreign) {
			f.none("ForgetSenderHealth", 0, f.db.ForgetSenderHealth(f.Context(), events.Channel{ID: f.channel, Tenant: f.tenant, Version: 9}))
		},
		"Deliveries": func(f *foreign) {
			l, err := f.db.Deliveries(f.Context(), f.tenant, store.DeliveryPage{Waiting: true, Limit: 10})
			f.none("Deliveries", len(l), err)
		},
		"Delivery": func(f *foreign) {
			_, err := f.db.Delivery(f.Context(), f.tenant, f.delivery)
			f.missing("Delivery", err)
		},
		"CancelDelivery": func(f *foreign) { f.missing("CancelDelivery", f.db.CancelDelivery(f.Context(), f.tenant, f.delivery)) },
		"ResendUncertain": func(f *foreign) {
			f.missing("ResendUncertain", f.db.ResendUncertain(f.Context(), f.tenant, f.delivery))
		},
		"SettleUncertain": func(f *foreign) {
			f.missing("SettleUncertain", f.db.SettleUncertain(f.Context(), f.tenant, f.delivery, inbox.Sent))
		},
		"RefetchMedia": func(f *foreign) {
			n, err := f.db.RefetchMedia(f.Context(), f.tenant, f.message)
			f.none("RefetchMedia", int(n), err)
		},
		"HasUpload": func(f *foreign) {
			has, err := f.db.HasUpload(f.Context(), f.tenant, f.hash)
			f.none("HasUpload", count(has), err)
		},
		"CreateResumable": func(f *foreign) {
			if _, err := f.db.CreateResumable(f.Context(), f.tenant, f.user, store.NewResumable{Name: "f", Size: 10}); err == nil {
				f.Error("CreateResumable begins an upload of another tenant's user")
			}
		},
		"Resumable": func(f *foreign) {
			_, parts, err := f.db.Resumable(f.Context(), f.tenant, f.user, f.resumable)
			f.none("Resumable", len(parts), err)
			f.missing("Resumable", err)
		},
		"AddPart": func(f *foreign) {
			_, err := f.db.AddPart(f.Context(), f.tenant, f.user, f.resumable, 0, 1, store.NewPartKey(f.tenant))
			f.missing("AddPart", err)
		},
		"FinishResumable": func(f *foreign) {
			_, err := f.db.FinishResumable(f.Context(), f.tenant, f.user, f.resumable, 0, f.upload)
			f.missing("FinishResumable", err)
		},
		"CancelResumable": func(f *foreign) {
			_, err := f.db.CancelResumable(f.Context(), f.tenant, f.user, f.resumable)
			f.missing("CancelResumable", err)
		},
		"CreateUpload": func(f *foreign) {
			// Without bytes of its own: those of the same file, which only the other has.
			if _, err := f.db.CreateUpload(f.Context(), f.tenant, store.NewUpload{SHA256: f.hash}); err == nil {
				f.Error("CreateUpload shares another tenant's bytes")
			}
		},
		"Upload": func(f *foreign) { _, err := f.db.Upload(f.Context(), f.tenant, f.upload); f.missing("Upload", err) },

		"MergeClients": func(f *foreign) {
			own := storetest.Int(f.T, f.url, "INSERT INTO crm_clients (tenant_id, first_name) VALUES ($1, 'Own') RETURNING id", string(f.tenant))
			_, err := f.db.MergeClients(f.Context(), f.tenant, by, own, f.client)
			f.missing("MergeClients", err)
			_, err = f.db.MergeClients(f.Context(), f.tenant, by, f.client, own)
			f.missing("MergeClients", err)
			f.missing("MoveContact", f.db.MoveContact(f.Context(), f.tenant, by, f.contact, own))
		},
		"UnmergeClients": func(f *foreign) {
			_, err := f.db.UnmergeClients(f.Context(), f.tenant, by, f.client)
			f.missing("UnmergeClients", err)
		},
		"MoveContact": func(f *foreign) {
			f.missing("MoveContact", f.db.MoveContact(f.Context(), f.tenant, by, f.contact, f.client))
		},
		"Suggestions": func(f *foreign) {
			_, err := f.db.Suggestions(f.Context(), f.tenant, f.client)
			f.missing("Suggestions", err)
		},
		"Merges": func(f *foreign) {
			l, err := f.db.Merges(f.Context(), f.tenant, f.client)
			f.none("Merges", len(l), err)
		},

		"AddBlock": own,
		"Blocks": func(f *foreign) {
			l, err := f.db.Blocks(f.Context(), f.tenant, 0, 10)
			f.none("Blocks", len(l), err)
		},
		"RemoveBlock": func(f *foreign) { f.missing("RemoveBlock", f.db.RemoveBlock(f.Context(), f.tenant, by, f.block)) },
		"BlockClient": func(f *foreign) {
			f.missing("BlockClient", f.db.BlockClient(f.Context(), f.tenant, by, f.client, true))
		},
		"EraseClient": func(f *foreign) {
			_, err := f.db.EraseClient(f.Context(), f.tenant, by, f.client)
			f.missing("EraseClient", err)
		},
		"Erasures": func(f *foreign) {
			l, err := f.db.Erasures(f.Context(), f.tenant, time.Time{}, 10)
			for _, e := range l { // EraseAgain's own is of nobody
				f.none("Erasures", int(e.Client), err)
			}
		},
		"EraseAgain": func(f *foreign) {
			f.none("EraseAgain", 0, f.db.EraseAgain(f.Context(), f.tenant, uuid.NewString(), time.Now(), [][]byte{make([]byte, 32)}))
		},

		"Accounts": func(f *foreign) {
			l, err := f.db.Accounts(f.Context(), f.tenant, 0, 10)
			f.none("Accounts", len(l), err)
		},
		"Account": func(f *foreign) { _, err := f.db.Account(f.Context(), f.tenant, f.user); f.missing("Account", err) },
		"ChangeAccount": func(f *foreign) {
			_, err := f.db.ChangeAccount(f.Context(), f.tenant, by, inbox.Owner, f.user, store.AccountChange{Disabled: new(true)})
			f.missing("ChangeAccount", err)
		},
		"LoginOf": func(f *foreign) {
			_, found, err := f.db.LoginOf(f.Context(), f.tenant, f.email)
			f.none("LoginOf", count(found), err)
		},
		"AccountOfSubject": func(f *foreign) {
			for _, s := range []store.Subject{{Issuer: "https://id.example.com", Subject: "ann"}, {Issuer: "https://id.example.com", Subject: "new", Email: f.email}} {
				_, found, err := f.db.AccountOfSubject(f.Context(), f.tenant, by, s)
				f.none("AccountOfSubject", count(found), err)
			}
		},
		"UseTOTP": func(f *foreign) {
			first, err := f.db.UseTOTP(f.Context(), f.tenant, f.user, 1<<40)
			f.none("UseTOTP", count(first), err)
		},
		"SetTOTP": func(f *foreign) {
			f.missing("SetTOTP", f.db.SetTOTP(f.Context(), f.tenant, by, f.user, []byte("x"), 0))
		},
		"StartSession": func(f *foreign) {
			_, err := f.db.StartSession(f.Context(), f.tenant, by, store.NewSession{User: f.user, Hash: store.SecretHash{99}, Life: time.Hour, Idle: time.Hour})
			if err == nil {
				f.Error("StartSession begins a session of another tenant's user")
			}
		},
		"SessionOf": func(f *foreign) {
			_, found, err := f.db.SessionOf(f.Context(), f.tenant, f.hash)
			f.none("SessionOf", count(found), err)
		},
		"EndSession": func(f *foreign) { f.missing("EndSession", f.db.EndSession(f.Context(), f.tenant, by, f.session)) },
		"Sessions": func(f *foreign) {
			l, err := f.db.Sessions(f.Context(), f.tenant, f.user)
			f.none("Sessions", len(l), err)
		},
		"EndOtherSessions": func(f *foreign) {
			n, err := f.db.EndOtherSessions(f.Context(), f.tenant, by, f.user, "")
			f.none("EndOtherSessions", n, err)
		},
		"SetPassword": func(f *foreign) {
			f.missing("SetPassword", f.db.SetPassword(f.Context(), f.tenant, by, f.user, someHash, ""))
		},
		"Tokens": func(f *foreign) {
			l, err := f.db.Tokens(f.Context(), f.tenant, "", 10)
			f.none("Tokens", len(l), err)
		},
		"TokenOf": func(f *foreign) {
			_, found, err := f.db.TokenOf(f.Context(), f.tenant, f.hash)
			f.none("TokenOf", count(found), err)
		},
		"RevokeToken": func(f *foreign) { f.missing("RevokeToken", f.db.RevokeToken(f.Context(), f.tenant, by, f.token)) },
		"Invite": func(f *foreign) {
			_, _, err := f.db.Invite(f.Context(), f.tenant, by, inbox.Owner, store.NewInvitation{User: f.user, Hash: store.SecretHash{98}, Life: time.Hour})
			f.missing("Invite", err)
		},
		"Invitations": func(f *foreign) {
			l, err := f.db.Invitations(f.Context(), f.tenant, "", 10)
			f.none("Invitations", len(l), err)
		},
		"RevokeInvitation": func(f *foreign) {
			f.missing("RevokeInvitation", f.db.RevokeInvitation(f.Context(), f.tenant, by, f.invitation))
		},
		"Accept": func(f *foreign) {
			_, err := f.db.Accept(f.Context(), f.tenant, by, f.hash, store.Acceptance{Name: "x", Email: "x@example.com", PasswordHash: someHash})
			if inbox.CodeOf(err) != inbox.Unauthorized {
				f.Errorf("Accept: %v", err)
			}
		},
		"AuditLog": func(f *foreign) {
			l, err := f.db.AuditLog(f.Context(), f.tenant, 0, 10)
			f.none("AuditLog", len(l), err)
		},
		"FindAudit": func(f *foreign) {
			l, err := f.db.FindAudit(f.Context(), f.tenant, store.AuditFilter{Limit: 10})
			f.none("FindAudit", len(l), err)
		},
		"AuditLogSince": func(f *foreign) {
			l, err := f.db.AuditLogSince(f.Context(), f.tenant, store.AuditSince{Limit: 10})
			f.none("AuditLogSince", len(l), err)
		},

		"Webhooks": func(f *foreign) {
			l, err := f.db.Webhooks(f.Context(), f.tenant, "", 10)
			f.none("Webhooks", len(l), err)
		},
		"ChangeWebhook": func(f *foreign) {
			_, err := f.db.ChangeWebhook(f.Context(), f.tenant, by, f.webhook, store.WebhookChange{Enabled: new(false)}, "0")
			f.missing("ChangeWebhook", err)
		},
		"RotateWebhook": func(f *foreign) {
			_, err := f.db.RotateWebhook(f.Context(), f.tenant, by, f.webhook, time.Hour, func([]byte) ([]byte, error) { return []byte("x"), nil })
			f.missing("RotateWebhook", err)
		},
		"DeleteWebhook": func(f *foreign) { f.missing("DeleteWebhook", f.db.DeleteWebhook(f.Context(), f.tenant, by, f.webhook)) },
		"WebhookDeliveries": func(f *foreign) {
			_, err := f.db.WebhookDeliveries(f.Context(), f.tenant, f.webhook, "", 0, 10)
			f.missing("WebhookDeliveries", err)
		},
		"ReplayWebhook": func(f *foreign) {
			_, err := f.db.ReplayWebhook(f.Context(), f.tenant, by, f.webhook, 0, time.Time{})
			f.missing("ReplayWebhook", err)
		},
		"QueueWebhook": func(f *foreign) {
			f.missing("QueueWebhook", f.db.QueueWebhook(f.Context(), f.tenant, by, f.webhook, "{}", "webhook.test"))
		},

		// The operator's, of the tenant that they name: what they do to it, and that
		// nothing of the other changes, is in TestOperatorTouchesOneTenant.
		"RenameTenant": func(f *foreign) {
			_, err := f.db.RenameTenant(f.Context(), f.third(), by, "Renamed", 0)
			f.none("RenameTenant", 0, err)
		},
		"SuspendTenant": func(f *foreign) {
			_, err := f.db.SuspendTenant(f.Context(), f.third(), by, true)
			f.none("SuspendTenant", 0, err)
		},
		"RemoveTenant": func(f *foreign) {
			r, err := f.db.RemoveTenant(f.Context(), f.third())
			f.none("RemoveTenant", len(r.Rows)+len(r.Blobs), err)
		},
		"FinishTenantRemoval": func(f *foreign) {
			f.none("FinishTenantRemoval", 0, f.db.FinishTenantRemoval(f.Context(), f.third()))
		},

		// SettleWebhook notes what came of what a worker claimed.
		"AddWebhook": own, "SettleWebhook": own,
		"Reseal": func(f *foreign) {
			values, err := f.db.SealedOtherwise(f.Context(), store.SealedChannels, []byte("none begins like this"), "", 1000)
			if err != nil || len(values) == 0 {
				f.Fatal(len(values), err)
			}
			for _, v := range values {
				v.Tenant = f.tenant
				done, err := f.db.Reseal(f.Context(), v, []byte("not theirs"))
				if done {
					f.none("Reseal", 1, err)
				}
				f.none("Reseal", 0, err)
			}
		},

		"SearchMessages": func(f *foreign) {
			l, _, err := f.db.SearchMessages(f.Context(), f.tenant, store.Search{Words: "hello", Limit: 10})
			f.none("SearchMessages", len(l), err)
		},
		"SearchClients": func(f *foreign) {
			l, _, err := f.db.SearchClients(f.Context(), f.tenant, store.Search{Words: "cy", Limit: 10})
			f.none("SearchClients", len(l), err)
		},

		"MessageTemplates": func(f *foreign) {
			l, err := f.db.MessageTemplates(f.Context(), f.tenant, 0, 10)
			f.none("MessageTemplates", len(l), err)
		},
		"MessageTemplate": func(f *foreign) {
			_, err := f.db.MessageTemplate(f.Context(), f.tenant, f.template)
			f.missing("MessageTemplate", err)
		},
		"ChangeMessageTemplate": func(f *foreign) {
			_, err := f.db.ChangeMessageTemplate(f.Context(), f.tenant, f.template, 0, store.MessageTemplateChange{Text: new("taken")})
			f.missing("ChangeMessageTemplate", err)
		},
		"RemoveMessageTemplate": func(f *foreign) {
			f.missing("RemoveMessageTemplate", f.db.RemoveMessageTemplate(f.Context(), f.tenant, f.template, 0))
		},
		"TemplateValues": func(f *foreign) {
			_, err := f.db.TemplateValues(f.Context(), f.tenant, f.chat, f.user)
			f.missing("TemplateValues", err)
		},
		"AddMessageTemplate": func(f *foreign) {
			_, err := f.db.AddMessageTemplate(f.Context(), f.tenant, store.NewMessageTemplate{
				Name: "x", Text: "x", Approved: []inbox.ApprovedTemplate{{Channel: f.channel, ID: "HX"}},
			})
			f.missing("AddMessageTemplate", err)
		},
		"Undo": func(f *foreign) { _, err := f.db.Undo(f.Context(), f.tenant, f.message); f.missing("Undo", err) },
		"DeskSettings": func(f *foreign) {
			s, err := f.db.DeskSettings(f.Context(), f.tenant)
			f.none("DeskSettings", s.UndoSeconds, err)
		},

		"Schedule": func(f *foreign) {
			_, err := f.db.Schedule(f.Context(), store.NewScheduled{
				Reply: store.Reply{Tenant: f.tenant, Chat: f.chat, Channel: f.channel, Text: "x", User: f.user, Force: true}, DueAt: time.Now().Add(time.Hour),
			})
			f.missing("Schedule", err)
		},
		"Scheduled": func(f *foreign) {
			l, err := f.db.Scheduled(f.Context(), f.tenant, store.ScheduledPage{All: true, Limit: 10})
			f.none("Scheduled", len(l), err)
		},
		"OneScheduled": func(f *foreign) {
			_, err := f.db.OneScheduled(f.Context(), f.tenant, f.scheduled)
			f.missing("OneScheduled", err)
		},
		"Reschedule": func(f *foreign) {
			_, err := f.db.Reschedule(f.Context(), f.tenant, f.scheduled, 0, store.ScheduledChange{Text: new("taken")})
			f.missing("Reschedule", err)
		},
		"CancelScheduled": func(f *foreign) {
			_, err := f.db.CancelScheduled(f.Context(), f.tenant, f.scheduled)
			f.missing("CancelScheduled", err)
		},
		"ReleaseScheduled": func(f *foreign) {
			did, err := f.db.ReleaseScheduled(f.Context(), f.tenant, f.scheduled, nil)
			f.none("ReleaseScheduled", count(did), err)
		},

		"Start": func(f *foreign) {
			_, err := f.db.Start(f.Context(), store.Start{
				Reply:  store.Reply{Tenant: f.tenant, Channel: f.channel, Text: "x", User: f.user, Force: true},
				Person: events.Person{Identity: events.Identity{Kind: events.TelegramUser, Value: "7"}, Address: "7"},
			})
			f.missing("Start", err)
		},
		"StartValues": func(f *foreign) {
			v, err := f.db.StartValues(f.Context(), f.tenant, events.Person{Identity: events.Identity{Kind: events.TelegramUser, Value: "7"}}, f.user)
			f.none("StartValues", len(v["first_name"])+len(v["agent_name"]), err)
		},

		"Hours": func(f *foreign) { l, err := f.db.Hours(f.Context(), f.tenant); f.none("Hours", len(l), err) },
		"SetHours": func(f *foreign) {
			_, err := f.db.SetHours(f.Context(), f.tenant, 0, inbox.Hours{Channel: f.channel, TimeZone: "UTC"})
			f.missing("SetHours", err)
		},
		"AutoRepliesDue": func(f *foreign) {
			l, err := f.db.AutoRepliesDue(f.Context(), f.tenant, []store.AutoReplyRule{{Tenant: f.tenant, Channel: f.channel, Kind: store.AutoAway, Day: "2026-01-01", Text: "x"}}, 10)
			f.none("AutoRepliesDue", len(l), err)
		},
		"AutoReply": func(f *foreign) {
			_, err := f.db.AutoReply(f.Context(), store.AutoReplyRule{Tenant: f.tenant, Channel: f.channel, Kind: store.AutoAway, Day: "2026-01-01", Text: "x"}, f.chat, f.user, nil)
			f.missing("AutoReply", err)
		},

		"SetDeskSettings": own,
		"AddLabel":        own, "AddClient": own,
		"AddAccount": own, "AddToken": own, "InviteFirstOwner": own, "AppendAudit": own, "EnsureOperator": own, "CreateChannel": own,
	}
}
