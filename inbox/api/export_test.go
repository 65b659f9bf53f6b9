package api

import (
	"github.com/danielgtaylor/huma/v2"

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

// Sample is what the page for people shows of an operation.
func Sample(doc *huma.OpenAPI, op *huma.Operation) string {
	return example(doc.Components.Schemas, op, "http://127.0.0.1:8081")
}
