package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"parley/events"
	"parley/inbox"
	"parley/inbox/api"
	"parley/inbox/desk"
	"parley/store"
)

func templateCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "template", Short: "Keep texts that are used again",
		Long: `Templates have variables: {{first_name}}, or {{first_name|there}} with what stands there
when nobody knows. Of the client: first_name, last_name, middle_name, name, phone, email; of
who writes: agent_name, agent_first_name, agent_email; business is the business's name. All
others are asked of who writes: parley chat reply 1 --use NAME --var order=17`,
	}
	cmd.AddCommand(templateAddCmd(a), templateListCmd(a), templateShowCmd(a), templatePreviewCmd(a), templateEditCmd(a), templateRemoveCmd(a))
	return cmd
}

// template finds one by its name or number.
func (c *client) template(cmd *cobra.Command, ref string) (inbox.MessageTemplate, error) {
	templates, err := all[inbox.MessageTemplate](cmd, c, "/templates")
	if err != nil {
		return inbox.MessageTemplate{}, err
	}
	for _, t := range templates {
		if strings.EqualFold(t.Name, ref) {
			return t, nil
		}
	}
	for _, t := range templates {
		if strconv.FormatInt(t.ID, 10) == ref {
			return t, nil
		}
	}
	return inbox.MessageTemplate{}, &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no template %q.", ref), Hint: "List them with: parley template list"}
}

// textArg is an argument, or the standard input for -.
func textArg(cmd *cobra.Command, text string) (string, error) {
	if text != "-" {
		return text, nil
	}
	all, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), store.MaxReply+1))
	if err != nil {
		return "", fmt.Errorf("reading the text: %w", err)
	}
	return strings.TrimRight(string(all), "\n"), nil
}

// approvedFlags are the provider's template of a command.
type approvedFlags struct {
	id, channel string
	variables   map[string]string
}

func (f *approvedFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.id, "approved", "", "the provider's id of an approved template that says the same, such as HX…")
	cmd.Flags().StringVar(&f.channel, "approved-for", "", "id of the channel it was approved for; all that take templates when absent")
	cmd.Flags().StringToStringVar(&f.variables, "approved-var", nil, "its variable, as 1={{first_name|there}}; may be given several times")
}

func (f *approvedFlags) list() []inbox.ApprovedTemplate {
	if f.id == "" {
		return []inbox.ApprovedTemplate{}
	}
	return []inbox.ApprovedTemplate{{ID: f.id, Channel: events.ChannelID(f.channel), Variables: f.variables}}
}

func templateAddCmd(a *app) *cobra.Command {
	var approved approvedFlags
	cmd := &cobra.Command{
		Use: "add NAME TEXT", Short: "Add a template", Args: cobra.ExactArgs(2),
		Long: "Adds a template. The text - is read from the standard input.",
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := textArg(cmd, args[1])
			if err != nil {
				return err
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			var t inbox.MessageTemplate
			in := map[string]any{"name": args[0], "text": text, "approved": approved.list()}
			if err := c.ask(cmd.Context(), http.MethodPost, "/templates", nil, in, &t); err != nil {
				return err
			}
			return printTemplate(cmd, a, t)
		},
	}
	approved.add(cmd)
	return cmd
}

func templateListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List templates", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			templates, err := all[inbox.MessageTemplate](cmd, c, "/templates")
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), api.List[inbox.MessageTemplate]{Items: templates})
			}
			if len(templates) == 0 {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), `No templates yet. Add one: parley template add hello "Hello {{first_name|there}}!"`)
				return err
			}
			t := newTable("ID", "NAME", "TEXT", "ASKS FOR", "APPROVED")
			for _, m := range templates {
				var approved []string
				for _, p := range m.Approved {
					approved = append(approved, p.ID)
				}
				t.add(strconv.FormatInt(m.ID, 10), oneLine(m.Name, 30), oneLine(m.Text, 60), asks(m), oneLine(strings.Join(approved, ", "), 40))
			}
			return t.print(cmd.OutOrStdout())
		},
	}
}

// asks are the variables that whoever writes has to give.
func asks(m inbox.MessageTemplate) string {
	var names []string
	for _, v := range m.Variables {
		if v.From == "asked" && !v.Optional {
			names = append(names, v.Name)
		}
	}
	return strings.Join(names, ", ")
}

func printTemplate(cmd *cobra.Command, a *app, m inbox.MessageTemplate) error {
	out := cmd.OutOrStdout()
	if a.json {
		return printJSON(out, m)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Template %d, %s (version %d):\n%s\n", m.ID, oneLine(m.Name, 0), m.Version, clean(m.Text))
	for _, v := range m.Variables {
		fmt.Fprintf(&b, "  %s: %s", v.Name, v.From)
		if v.Optional {
			b.WriteString(", or what the text says")
		}
		b.WriteString("\n")
	}
	for _, p := range m.Approved {
		fmt.Fprintf(&b, "  approved as %s", clean(p.ID))
		if p.Channel != "" {
			fmt.Fprintf(&b, " on channel %s", p.Channel)
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func templateShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a template, by its name or number", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			m, err := c.template(cmd, args[0])
			if err != nil {
				return err
			}
			return printTemplate(cmd, a, m)
		},
	}
}

func templatePreviewCmd(a *app) *cobra.Command {
	var variables map[string]string
	cmd := &cobra.Command{
		Use: "preview NAME CHAT", Short: "Show what a template says in a chat; sends nothing", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := chatID(cmd, args[1])
			if err != nil {
				return err
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			m, err := c.template(cmd, args[0])
			if err != nil {
				return err
			}
			var p desk.Preview
			in := map[string]any{"template_id": m.ID, "variables": variables}
			if err := c.ask(cmd.Context(), http.MethodPost, fmt.Sprintf("/chats/%d/preview", id), nil, in, &p); err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), p)
			}
			return printPreview(cmd.OutOrStdout(), p)
		},
	}
	cmd.Flags().StringToStringVar(&variables, "var", nil, "what the template asks for, as NAME=VALUE; may be given several times")
	return cmd
}

func printPreview(out io.Writer, p desk.Preview) error {
	var b strings.Builder
	b.WriteString(clean(p.Text) + "\n\n")
	if len(p.Missing) > 0 {
		fmt.Fprintf(&b, "Cannot be sent like this: no value for %s. Give one with --var.\n", strings.Join(p.Missing, ", "))
	}
	for _, r := range p.Routes {
		fmt.Fprintf(&b, "  on %s (%s)", clean(r.Name), r.Transport)
		switch {
		case r.Reason != "":
			b.WriteString(": " + clean(r.Reason))
		case r.Approved != nil:
			b.WriteString(", as the approved template " + clean(r.Approved.ID))
		case r.Size != nil:
			fmt.Fprintf(&b, ", %d %s in %s, %d left", r.Size.Units, r.Size.Unit, plural(int64(r.Size.Messages), "message"), r.Size.Left)
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func templateEditCmd(a *app) *cobra.Command {
	var name, text string
	var approved approvedFlags
	cmd := &cobra.Command{
		Use: "edit NAME", Short: "Change a template", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			m, err := c.template(cmd, args[0])
			if err != nil {
				return err
			}
			in := map[string]any{}
			if cmd.Flags().Changed("name") {
				in["name"] = name
			}
			if cmd.Flags().Changed("text") {
				if in["text"], err = textArg(cmd, text); err != nil {
					return err
				}
			}
			if cmd.Flags().Changed("approved") {
				in["approved"] = approved.list()
			}
			if len(in) == 0 {
				return &usageError{cmd, errorf("say what to change with --name, --text or --approved")}
			}
			if err := c.ask(cmd.Context(), http.MethodPatch, fmt.Sprintf("/templates/%d", m.ID), nil, in, &m,
				"If-Match", strconv.FormatInt(m.Version, 10)); err != nil {
				return err
			}
			return printTemplate(cmd, a, m)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "new name")
	cmd.Flags().StringVar(&text, "text", "", "new text; - reads it from the standard input")
	approved.add(cmd)
	return cmd
}

func templateRemoveCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Remove a template; what was written with it stays", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			m, err := c.template(cmd, args[0])
			if err != nil {
				return err
			}
			if err := c.ask(cmd.Context(), http.MethodDelete, fmt.Sprintf("/templates/%d", m.ID), nil, nil, nil,
				"If-Match", strconv.FormatInt(m.Version, 10)); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Removed the template %s.\n", oneLine(m.Name, 60))
			return err
		},
	}
}
