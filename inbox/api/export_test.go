package api

import (
	"parley/inbox/access"
)

// Rules are the operations' rules.
func Rules() map[string]access.Rule {
	list := map[string]access.Rule{}
	for id, r := range rules() {
		list[id] = r.Rule
	}
	return list
}

// Noted are the actions that the store notes with what an operation changes.
func Noted() map[string]string {
	list := map[string]string{}
	for id, r := range rules() {
		list[id] = r.log
	}
	return list
}
