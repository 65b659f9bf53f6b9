package api

import (
	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/access"
)

// operationRule is an operation's rule, and what of it is noted.
type operationRule struct {
	access.Rule
	// log is the action in the audit log, which the store writes with what the
	// operation changes; empty for operations whose store methods name it
	// themselves, and for those that change nothing.
	log string
}

// ruleKey is where an operation's metadata keep its rule.
const ruleKey = "parley-access"

var (
	operator = operationRule{Rule: access.Rule{Operator: true}}
	public   = operationRule{Rule: access.Rule{Public: true}}
	person   = operationRule{Rule: access.Rule{Role: inbox.ReadOnly}}
	// follow is for facts, by whichever way.
	follow = allow(inbox.ReadOnly, access.ReadChats)
)

func allow(role inbox.Role, scope access.Scope) operationRule {
	return operationRule{Rule: access.Rule{Role: role, Scope: scope}}
}

func (r operationRule) noted(action string) operationRule { r.log = action; return r }

// rules say who may call an operation, by its id. What is not listed, nobody may
// call: whoever adds an operation decides here.
func rules() map[string]operationRule {
	return map[string]operationRule{
		// Of the whole installation, not of one tenant.
		"list-tenants": operator, "add-tenant": operator, "get-tenant": operator, "rename-tenant": operator,
		"suspend-tenant": operator, "resume-tenant": operator, "remove-tenant": operator, "audit": operator, "status": operator,

		"list-quarantine":    allow(inbox.Admin, access.ReadChats),
		"show-quarantine":    allow(inbox.Admin, access.ReadChats),
		"preview-quarantine": allow(inbox.Admin, access.ReadChats),
		"replay-quarantine":  allow(inbox.Admin, access.WriteChats).noted("quarantine.replay"),

		"list-chats":          allow(inbox.ReadOnly, access.ReadChats),
		"get-chat":            allow(inbox.ReadOnly, access.ReadChats),
		"list-messages":       allow(inbox.ReadOnly, access.ReadChats),
		"show-journey":        allow(inbox.ReadOnly, access.ReadChats),
		"show-my-alerts":      person,
		"set-my-alerts":       person.noted("alerts.set"),
		"show-alerts":         allow(inbox.Admin, access.ReadUsers),
		"set-alerts":          allow(inbox.Admin, access.WriteUsers).noted("alerts.set"),
		"get-alert-bot":       allow(inbox.ReadOnly, access.ReadUsers),
		"set-alert-bot":       allow(inbox.Admin, access.WriteUsers).noted("alerts.bot"),
		"get-upload":          allow(inbox.ReadOnly, access.ReadChats),
		"download":            allow(inbox.ReadOnly, access.ReadChats),
		"download-thumbnail":  allow(inbox.ReadOnly, access.ReadChats),
		"stream":              follow,
		"search-messages":     allow(inbox.ReadOnly, access.ReadChats),
		"search-clients":      allow(inbox.ReadOnly, access.ReadChats),
		"reply":               allow(inbox.Agent, access.WriteChats).noted("message.reply"),
		"read-chat":           allow(inbox.Agent, access.WriteChats),
		"show-typing":         allow(inbox.Agent, access.WriteChats),
		"upload":              allow(inbox.Agent, access.WriteChats),
		"describe-resumables": allow(inbox.Agent, access.WriteChats), "create-resumable": allow(inbox.Agent, access.WriteChats),
		"show-resumable": allow(inbox.Agent, access.WriteChats), "continue-resumable": allow(inbox.Agent, access.WriteChats),
		"cancel-resumable": allow(inbox.Agent, access.WriteChats),
		"refetch":          allow(inbox.Agent, access.WriteChats).noted("message.refetch"),

		// These write the audit log in their own transactions, but for what is only
		// one's own: drafts, and what was read.
		"count-chats": allow(inbox.ReadOnly, access.ReadChats), "unread-chat": allow(inbox.Agent, access.WriteChats),
		"set-chat-status": allow(inbox.Agent, access.WriteChats), "assign-chat": allow(inbox.Agent, access.WriteChats),
		"label-chat": allow(inbox.Agent, access.WriteChats), "unlabel-chat": allow(inbox.Agent, access.WriteChats),
		"list-labels": allow(inbox.ReadOnly, access.ReadChats), "add-label": allow(inbox.Agent, access.WriteChats),
		"change-label": allow(inbox.Agent, access.WriteChats), "delete-label": allow(inbox.Admin, access.WriteChats),
		"list-teams": allow(inbox.ReadOnly, access.ReadChats), "add-team": allow(inbox.Admin, access.WriteUsers),
		"change-team": allow(inbox.Admin, access.WriteUsers), "delete-team": allow(inbox.Admin, access.WriteUsers),
		"list-notes": allow(inbox.ReadOnly, access.ReadChats), "add-note": allow(inbox.Agent, access.WriteChats),
		"change-note": allow(inbox.Agent, access.WriteChats), "delete-note": allow(inbox.Agent, access.WriteChats),
		"get-draft": allow(inbox.Agent, access.ReadChats), "put-draft": allow(inbox.Agent, access.WriteChats),
		"list-clients": allow(inbox.ReadOnly, access.ReadChats), "get-client": allow(inbox.ReadOnly, access.ReadChats),
		"export-client": allow(inbox.Admin, access.ReadChats), "import-clients": allow(inbox.Admin, access.WriteChats),
		"add-client": allow(inbox.Agent, access.WriteChats), "change-client": allow(inbox.Agent, access.WriteChats),
		"delete-client": allow(inbox.Admin, access.WriteChats), "add-contact": allow(inbox.Agent, access.WriteChats),
		"change-contact": allow(inbox.Agent, access.WriteChats), "remove-contact": allow(inbox.Agent, access.WriteChats),

		"edit-message":     allow(inbox.Agent, access.WriteChats).noted("message.edit"),
		"react-to-message": allow(inbox.Agent, access.WriteChats).noted("message.react"),

		// These write the audit log in their own transactions.
		"list-webhooks": allow(inbox.Admin, access.ReadWebhooks), "list-webhook-deliveries": allow(inbox.Admin, access.ReadWebhooks),
		"add-webhook": allow(inbox.Admin, access.WriteWebhooks), "change-webhook": allow(inbox.Admin, access.WriteWebhooks),
		"delete-webhook": allow(inbox.Admin, access.WriteWebhooks), "rotate-webhook": allow(inbox.Admin, access.WriteWebhooks),
		"test-webhook": allow(inbox.Admin, access.WriteWebhooks), "replay-webhook": allow(inbox.Admin, access.WriteWebhooks),
		"merge-clients": allow(inbox.Agent, access.WriteChats), "unmerge-client": allow(inbox.Agent, access.WriteChats),
		"take-contact":           allow(inbox.Agent, access.WriteChats),
		"list-merge-suggestions": allow(inbox.ReadOnly, access.ReadChats),
		"list-templates":         allow(inbox.ReadOnly, access.ReadChats),
		"get-template":           allow(inbox.ReadOnly, access.ReadChats),
		"preview":                allow(inbox.ReadOnly, access.ReadChats),
		"add-template":           allow(inbox.Agent, access.WriteChats).noted("template.add"),
		"change-template":        allow(inbox.Agent, access.WriteChats).noted("template.change"),
		"remove-template":        allow(inbox.Agent, access.WriteChats).noted("template.remove"),
		"schedule-reply":         allow(inbox.Agent, access.WriteChats).noted("scheduled.add"),
		"list-scheduled":         allow(inbox.ReadOnly, access.ReadChats),
		"get-scheduled":          allow(inbox.ReadOnly, access.ReadChats),
		"reschedule":             allow(inbox.Agent, access.WriteChats).noted("scheduled.change"),
		"cancel-scheduled":       allow(inbox.Agent, access.WriteChats).noted("scheduled.cancel"),
		"start-chat":             allow(inbox.Agent, access.WriteChats).noted("chat.start"),
		"list-hours":             allow(inbox.ReadOnly, access.ReadChats),
		"set-hours":              allow(inbox.Admin, access.WriteUsers).noted("hours.set"),
		"undo":                   allow(inbox.Agent, access.WriteChats).noted("message.undo"),
		"get-desk-settings":      allow(inbox.ReadOnly, access.ReadChats),
		"set-desk-settings":      allow(inbox.Admin, access.WriteUsers).noted("desk.set"),
		"list-blocks":            allow(inbox.ReadOnly, access.ReadChats),
		"add-block":              allow(inbox.Agent, access.WriteChats),
		"remove-block":           allow(inbox.Agent, access.WriteChats),
		"block-client":           allow(inbox.Agent, access.WriteChats),
		"unblock-client":         allow(inbox.Agent, access.WriteChats),
		"erase-client":           allow(inbox.Admin, access.WriteChats),
		"list-erasures":          allow(inbox.Admin, access.ReadAudit),

		"list-deliveries": allow(inbox.ReadOnly, access.ReadChats),
		"cancel-delivery": allow(inbox.Agent, access.WriteChats).noted("delivery.cancel"),
		"retry-delivery":  allow(inbox.Agent, access.WriteChats).noted("delivery.retry"),
		"settle-delivery": allow(inbox.Agent, access.WriteChats).noted("delivery.settle"),

		"list-channels":     allow(inbox.ReadOnly, access.ReadChannels),
		"check-channel":     allow(inbox.Admin, access.ReadChannels),
		"add-channel":       allow(inbox.Admin, access.WriteChannels).noted("channel.add"),
		"pause-channel":     allow(inbox.Admin, access.WriteChannels).noted("channel.pause"),
		"resume-channel":    allow(inbox.Admin, access.WriteChannels).noted("channel.resume"),
		"rotate-channel":    allow(inbox.Admin, access.WriteChannels).noted("channel.rotate"),
		"reconcile-channel": allow(inbox.Admin, access.WriteChannels),
		"get-channel":       allow(inbox.ReadOnly, access.ReadChannels),
		"change-channel":    allow(inbox.Admin, access.WriteChannels).noted("channel.change"),

		// These write the audit log in their own transactions.
		"log-in": public, "accept-invitation": public, "begin-sign-in": public, "finish-sign-in": public,
		"log-out": person, "begin-second-factor": person, "confirm-second-factor": person,
		"me":                allow(inbox.ReadOnly, access.ReadChats),
		"list-users":        allow(inbox.ReadOnly, access.ReadUsers),
		"get-user":          allow(inbox.ReadOnly, access.ReadUsers),
		"change-user":       allow(inbox.Admin, access.WriteUsers),
		"reset-user":        allow(inbox.Admin, access.WriteUsers),
		"list-invitations":  allow(inbox.Admin, access.ReadUsers),
		"invite":            allow(inbox.Admin, access.WriteUsers),
		"revoke-invitation": allow(inbox.Admin, access.WriteUsers),
		"list-tokens":       allow(inbox.Admin, access.ReadUsers),
		"add-token":         allow(inbox.Admin, access.WriteUsers),
		"revoke-token":      allow(inbox.Admin, access.WriteUsers),
		"list-audit-log":    allow(inbox.Admin, access.ReadAudit),
		"export-audit-log":  allow(inbox.Admin, access.ReadAudit),
	}
}

// declare writes an operation's rule into its metadata, and into the
// description for people and programs.
func declare() huma.AddOpFunc {
	all := rules()
	return func(_ *huma.OpenAPI, op *huma.Operation) {
		rule, ok := all[op.OperationID]
		if !ok {
			return // nobody may, and a test fails
		}
		if op.Metadata == nil {
			op.Metadata = map[string]any{}
		}
		op.Metadata[ruleKey] = rule
		if op.Extensions == nil {
			op.Extensions = map[string]any{}
		}
		says := map[string]any{}
		switch {
		case rule.Public:
			says["public"] = true
			op.Security = []map[string][]string{}
		case rule.Operator:
			says["operator"] = true
		default:
			says["role"] = rule.Role
			op.Security = []map[string][]string{{"session": {}}}
			if rule.Scope != "" {
				says["scope"] = rule.Scope
				op.Security = append(op.Security, map[string][]string{"token": {}})
			}
		}
		op.Extensions["x-parley-access"] = says
	}
}

// ruleOf is what declare wrote; the zero rule lets nobody in.
func ruleOf(op *huma.Operation) operationRule {
	rule, _ := op.Metadata[ruleKey].(operationRule)
	return rule
}

// securitySchemes are the ways to say who one is.
func securitySchemes() map[string]*huma.SecurityScheme {
	return map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "A program's token, made with: parley token add"},
		"session": {Type: "apiKey", In: "cookie", Name: access.CookieName(false), Description: "Set by log-in. Over https its name is " + access.CookieName(true) + "."},
	}
}
