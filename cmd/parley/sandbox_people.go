package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"
)

func sandboxPeopleCmd(a *app) *cobra.Command {
	var on string
	cmd := &cobra.Command{
		Use:   "people",
		Short: "List the clients there are",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return play(a, cmd, on, http.MethodGet, "/sandbox/people", nil, func(out io.Writer, found json.RawMessage) error {
				return printPeople(out, on, found)
			})
		},
	}
	addOn(cmd, &on)
	return cmd
}

func printPeople(out io.Writer, on string, found json.RawMessage) error {
	var people []struct {
		Name    string `json:"name"`
		ID      int64  `json:"id"`      // on Telegram
		Number  string `json:"number"`  // at Twilio
		Address string `json:"address"` // by mail
	}
	if err := json.Unmarshal(found, &people); err != nil {
		return fmt.Errorf("reading the stand-in's answer: %w", err)
	}
	if len(people) == 0 {
		example := "parley sandbox say anna \"Hello\""
		if on != onTelegram {
			example = "parley sandbox say --on " + on + " anna \"Hello\""
		}
		_, err := fmt.Fprintln(out, "Nobody yet. Writing makes a person: "+example)
		return err
	}
	known := "NUMBER"
	switch on {
	case onTelegram:
		known = "TELEGRAM ID"
	case onEmail:
		known = "ADDRESS"
	}
	t := newTable("NAME", known)
	for _, p := range people {
		known := cmp.Or(p.Number, p.Address)
		if p.ID != 0 {
			known = strconv.FormatInt(p.ID, 10)
		}
		t.add(p.Name, known)
	}
	return t.print(out)
}
