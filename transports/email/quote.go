package email

import (
	"regexp"
	"strings"
)

// What mail programs write above the mail they answer, in the languages their
// users write.
var (
	// originalMark is a rule of dashes or underscores with words in it.
	originalMark = regexp.MustCompile(`(?i)^\s*[-_]{2,}\s*(original message|reply message|ursprüngliche nachricht|originalnachricht|` +
		`message d['’]origine|message original|mensaje original|mensagem original|messaggio originale|` +
		`oorspronkelijk bericht|ursprungligt meddelande|oprindelig meddelelse|opprinnelig melding|` +
		`wiadomość oryginalna|исходное сообщение|orijinal mesaj|原始邮件|元のメッセージ)\s*[-_]{2,}\s*$`)
	forwardMark = regexp.MustCompile(`(?i)^\s*(-{2,}\s*(forwarded message|weitergeleitete nachricht|message transféré|mensaje reenviado|` +
		`messaggio inoltrato|doorgestuurd bericht|mensagem encaminhada|пересылаемое сообщение).*|begin forwarded message:|anfang der weitergeleiteten nachricht:)\s*$`)
	headFrom = regexp.MustCompile(`(?i)^\s*\*?(from|von|de|da|van|od|från|fra|kimden|от|发件人|寄件者|差出人)\s*\*?\s*[:：]\*?\s*\S`)
	headMore = regexp.MustCompile(`(?i)^\s*\*?(sent|date|to|cc|subject|gesendet|datum|an|betreff|envoyé|à|objet|enviado( el)?|para|asunto|fecha|` +
		`inviato|data|a|oggetto|verzonden|aan|onderwerp|assunto|skickat|till|ämne|sendt|til|emne|wysłano|do|temat|` +
		`отправлено|дата|кому|тема|gönderildi|kime|konu|发送时间|收件人|主题|送信日時|宛先|件名)\s*\*?\s*[:：]`)
	// attribution is the line above a quote: it ends in a colon and holds an
	// address or a date.
	attribution = regexp.MustCompile(`[@\d].*[:：]\s*$`)
	// attributionBegin tells the first line of one that was wrapped.
	attributionBegin = regexp.MustCompile(`(?i)^(on|am|le|el|il|op|em|den|dne|w dniu|på|pe|em|ha|в|[0-9]{1,4}[-./][0-9]{1,2})[\s,.\-/0-9]`)
	forwarded        = regexp.MustCompile(`(?i)^\s*(fwd?|wg|tr|rv|i|enc|doorst|vs|fs|пер)\s*:`)
)

// maxAttribution is how many lines an attribution may be wrapped into.
const maxAttribution = 3

// quoted finds the byte offset behind which text holds nothing but what was
// written before, 0 when there is no such place or nothing above it. What was
// forwarded counts as new: it is what the mail is about.
func quoted(subject, text string) int {
	lines := strings.SplitAfter(text, "\n")
	at := tailQuote(lines)
	if !forwarded.MatchString(subject) {
		at = min(at, markedQuote(lines))
	}
	for _, line := range lines[:at] {
		if forwardMark.MatchString(strings.TrimSpace(line)) {
			return 0
		}
	}
	if at == len(lines) {
		return 0
	}
	offset := 0
	for _, line := range lines[:at] {
		offset += len(line)
	}
	if strings.TrimSpace(text[:offset]) == "" {
		return 0
	}
	return offset
}

// tailQuote is the first line of the quote that the text ends in, with its
// attribution; len(lines) when it does not.
func tailQuote(lines []string) int {
	at, found := len(lines), false
	for at > 0 {
		line := strings.TrimSpace(lines[at-1])
		if strings.HasPrefix(line, ">") {
			found = true
		} else if line != "" {
			break
		}
		at--
	}
	if !found {
		return len(lines)
	}
	// at is behind the last line that is not quoted.
	var above string
	for n := 1; n <= maxAttribution && at-n >= 0; n++ {
		line := strings.TrimSpace(lines[at-n])
		if line == "" || strings.HasPrefix(line, ">") {
			break
		}
		above = strings.TrimSpace(line + " " + above)
		if n == 1 && !strings.HasSuffix(line, ":") && !strings.HasSuffix(line, "：") {
			break
		}
		if attribution.MatchString(above) {
			for n < maxAttribution && at-n-1 >= 0 && !attributionBegin.MatchString(above) &&
				attributionBegin.MatchString(strings.TrimSpace(lines[at-n-1])) {
				n++
				above = strings.TrimSpace(lines[at-n])
			}
			return at - n
		}
	}
	return at
}

// markedQuote is the line at which a program announced the mail it answers,
// without marking its lines; len(lines) when none did.
func markedQuote(lines []string) int {
	for i, line := range lines {
		if originalMark.MatchString(strings.TrimSpace(line)) {
			return i
		}
		if !headFrom.MatchString(line) {
			continue
		}
		more := 0
		for _, next := range lines[i+1 : min(i+6, len(lines))] {
			if headMore.MatchString(next) {
				more++
			}
		}
		if more < 2 {
			continue
		}
		// Outlook draws a rule above.
		for i > 0 && strings.Trim(lines[i-1], "-_ \r\n\t") == "" {
			i--
		}
		return i
	}
	return len(lines)
}
