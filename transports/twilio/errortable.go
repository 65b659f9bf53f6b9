package twilio

import "parley/transports"

// failure is what one of Twilio's error codes means.
type failure struct {
	outcome transports.Outcome
	// words say what happened and what to do.
	words string
	// unreachable is true when the person cannot be written to any more.
	unreachable bool
	// optedOut is true when that is their own wish.
	optedOut bool
	// credentials is true when the account was refused, not the message.
	credentials bool
	// throttles says whom it holds back, of those to retry.
	throttles transports.ThrottleScope
}

// errorTable is what is known of Twilio's error codes
// (https://www.twilio.com/docs/api/errors). Codes come with a refused request and
// with the callback of a message that failed later; the outcome holds for the
// former, the words for both. What is not here is shown in Twilio's own words and
// never tried again.
func errorTable() map[int]failure {
	rejected := func(words string) failure { return failure{outcome: transports.Rejected, words: words} }
	gone := func(words string) failure {
		return failure{outcome: transports.Rejected, words: words, unreachable: true}
	}
	later := func(words string, scope transports.ThrottleScope) failure {
		return failure{outcome: transports.Retry, words: words, throttles: scope}
	}
	account := func(words string) failure {
		return failure{outcome: transports.Retry, words: words, credentials: true}
	}
	return map[int]failure{
		// The account.
		20003: account("Twilio refused the account SID and auth token"),
		20005: account("the Twilio account is not active: look at its console"),
		20006: account("Twilio denies access to this account"),
		20008: account("the auth token is that of Twilio's test account, which sends nothing"),
		30002: account("the Twilio account is suspended: look at its console"),
		63001: account("WhatsApp refused the sender's registration at Twilio: look at it in the Twilio console"),
		20429: later("Twilio asks to slow down", transports.AccountThrottled),
		21611: later("Twilio's queue for this number is full", transports.AccountThrottled),
		30001: later("Twilio's queue overflowed", transports.AccountThrottled),
		63018: later("WhatsApp asks to slow down", transports.PersonThrottled),

		// The recipient.
		21211: gone("Twilio takes the recipient's number for invalid"),
		21214: rejected("Twilio cannot reach the recipient's number"),
		21217: rejected("Twilio takes the recipient's number for invalid"),
		21265: rejected("the recipient is a short code, to which Twilio does not send"),
		21408: rejected("the Twilio account may not send to the recipient's country: allow it under Messaging, Geo permissions"),
		21608: rejected("a trial account sends to verified numbers only: verify it in the Twilio console, or upgrade the account"),
		21610: {
			outcome: transports.Rejected, words: "the recipient opted out and has to write START first",
			unreachable: true, optedOut: true,
		},
		21612: rejected("Twilio has no route from this sender to the recipient"),
		21614: gone("the recipient's number is no mobile number"),
		21635: gone("the recipient's number is a landline"),
		30003: rejected("the recipient's phone was off or out of reach"),
		30004: rejected("the recipient or their carrier blocks messages of this sender"),
		30005: gone("the recipient's number does not exist any more, or never did"),
		30006: gone("the recipient's number is a landline, or of a carrier that takes no messages"),
		63003: rejected("the recipient has no WhatsApp on this number"),
		63014: rejected("the recipient blocked this sender on WhatsApp"),
		63015: rejected("the recipient has to join the WhatsApp sandbox first"),
		63024: rejected("WhatsApp takes the recipient for invalid"),
		63032: rejected("WhatsApp does not deliver this to the recipient: they are part of an experiment of Meta's"),
		63033: rejected("the recipient was blocked from messages of this sender"),
		63036: rejected("the recipient cannot be reached on WhatsApp"),
		63049: rejected("Meta chose not to deliver this marketing message to the recipient"),

		// The sender.
		21212: rejected(`Twilio takes the sender's number for invalid: check the setting "from"`),
		21603: rejected(`no sender is set: check the setting "from"`),
		21606: rejected(`the sender's number is not one of this Twilio account that can send messages: check the setting "from"`),
		21607: rejected(`the sender is not one of this trial account's numbers: check the setting "from"`),
		21659: rejected(`the sender is not a number or short code of this Twilio account: check the setting "from"`),
		21660: rejected(`the sender's number belongs to another Twilio account: check the settings "from" and "account_sid"`),
		21701: rejected(`the messaging service does not exist: check the setting "messaging_service_sid"`),
		21703: rejected("the messaging service has no sender: add one in the Twilio console"),
		21704: rejected("the messaging service has no sender that could reach the recipient"),
		21705: rejected(`the messaging service does not exist: check the setting "messaging_service_sid"`),
		21910: rejected("sender and recipient are on different networks: check the channel's transport and its setting \"from\""),
		30024: rejected("the sender has no registration for the recipient's country"),
		30032: rejected("the toll-free sender is not verified: verify it in the Twilio console"),
		30034: rejected("the sender is not registered for messages in the US (A2P 10DLC): register it in the Twilio console"),
		63007: rejected(`Twilio knows no such WhatsApp sender: check the setting "from"`),
		63020: rejected("the business has not accepted Twilio's invitation on WhatsApp"),
		63038: rejected("the WhatsApp account reached its daily limit"),
		63051: rejected("Meta locked the WhatsApp business account"),
		63112: rejected("Meta disabled the WhatsApp business account"),

		// The message.
		21602: rejected("the message is empty"),
		21604: rejected("the message has no recipient"),
		21605: rejected("the message is too long for Twilio"),
		21609: rejected("Twilio cannot call the address for delivery reports: check the installation's public URL"),
		21617: rejected("the message is longer than the 1600 signs that Twilio takes"),
		21619: rejected("the message has neither text nor file"),
		21620: rejected("Twilio takes the file's address for invalid: check the installation's public URL"),
		21623: rejected("the message has more files than Twilio takes"),
		21654: rejected("the template's id is missing"),
		21655: rejected("Twilio knows no such template"),
		21656: rejected("the template's variables are not what it wants"),
		30007: rejected("the carrier filtered the message as unwanted"),
		30008: rejected("the carrier did not deliver the message and gave no reason"),
		30009: rejected("a part of the message got lost on its way"),
		30010: rejected("the message costs more than the price limit"),
		30011: rejected("the recipient's network does not take MMS"),
		30017: rejected("the carrier's network is congested"),
		30018: rejected("the carrier wants a campaign that this message does not have"),
		30019: rejected("the file is too large for the recipient's carrier"),
		30020: rejected("Twilio had an internal error with the file"),
		30021: rejected("Twilio had an internal error"),
		30022: rejected("the sender's limit of messages per second was exceeded at the carrier (US A2P 10DLC)"),
		30023: rejected("the sender reached the carrier's daily limit (US A2P 10DLC)"),
		30036: rejected("Twilio could not send the message before it expired"),
		30044: rejected("trial accounts send short messages only: upgrade the account"),
		30410: rejected("the carrier did not answer in time"),
		30450: rejected("the delivery was blocked, as the number looks like one of fraud"),
		30500: rejected("Twilio had an internal error"),
		63005: rejected("WhatsApp does not take this content"),
		63012: rejected("WhatsApp had an internal error"),
		63013: rejected("the message breaks WhatsApp's policy"),
		63016: rejected("the recipient last wrote more than 24 hours ago: WhatsApp takes only an approved template now"),
		63019: rejected("WhatsApp could not fetch the file"),
		63021: rejected("WhatsApp takes the message for invalid"),
		63027: rejected("the template does not exist in this language, or is not approved yet"),
		63028: rejected("the template wants another number of variables"),
		63030: rejected("the template has a part that WhatsApp does not support"),
	}
}
