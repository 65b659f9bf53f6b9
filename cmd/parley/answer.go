package main

import (
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"parley/inbox/api"
)

// answer asks the server and prints what it says: as JSON for programs, in words
// for people.
func answer[T any](a *app, cmd *cobra.Command, method, path string, query url.Values, in any, words func(io.Writer, T) error) error {
	c, err := a.connect(cmd.Context())
	if err != nil {
		return err
	}
	var said T
	if err := c.ask(cmd.Context(), method, path, query, in, &said); err != nil {
		return err
	}
	return show(a, cmd, said, words)
}

// answerAll is answer with every page of a list.
func answerAll[T any](a *app, cmd *cobra.Command, path string, words func(io.Writer, []T) error) error {
	c, err := a.connect(cmd.Context())
	if err != nil {
		return err
	}
	items, err := all[T](cmd, c, path)
	if err != nil {
		return err
	}
	return show(a, cmd, api.List[T]{Items: items}, func(out io.Writer, _ api.List[T]) error { return words(out, items) })
}

// show prints what was asked for, as answer does.
func show[T any](a *app, cmd *cobra.Command, said T, words func(io.Writer, T) error) error {
	if a.json {
		return printJSON(cmd.OutOrStdout(), said)
	}
	return words(cmd.OutOrStdout(), said)
}

// all reads every page of a list.
func all[T any](cmd *cobra.Command, c *client, path string) ([]T, error) {
	items := []T{}
	query := url.Values{"limit": {"200"}}
	for {
		var page api.List[T]
		if err := c.ask(cmd.Context(), http.MethodGet, path, query, nil, &page); err != nil {
			return nil, err
		}
		if items = append(items, page.Items...); page.Next == "" {
			return items, nil
		}
		query.Set("cursor", page.Next)
	}
}
