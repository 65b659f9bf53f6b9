package email

import (
	_ "github.com/emersion/go-imap/v2/imapclient"
	_ "github.com/emersion/go-message"
	_ "github.com/emersion/go-msgauth/authres"
	_ "github.com/emersion/go-sasl"
	_ "github.com/emersion/go-smtp"
	_ "github.com/wlynxg/chardet"
	_ "golang.org/x/net/html"
	_ "golang.org/x/oauth2"
)
