package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"parley/inbox/api"
)

func channelChangeCmd(a *app) *cobra.Command {
	var name, mode, country string
	var settings map[string]string
	var remove []string
	cmd := &cobra.Command{
		Use: "change CHANNEL", Short: "Rename a channel or change how it is set up",
		Long: `Changes a channel's name, mode, country or settings; what is not named stays. Its secrets are changed by rotate.
When somebody else has changed the channel meanwhile, nothing happens.`,
		Example: `  parley channel change Support --name Help
  parley channel change Mail --setting smtp=smtp.example.org --remove-setting new_clients_per_hour`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]any{}
			for flag, value := range map[string]string{"name": name, "mode": mode, "country": country} {
				if cmd.Flags().Changed(flag) {
					in[flag] = value
				}
			}
			if len(in)+len(settings)+len(remove) == 0 {
				return &usageError{cmd, errorf("nothing to change: use --name, --mode, --country, --setting or --remove-setting")}
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			path := "/channels/" + url.PathEscape(args[0])
			var ch api.Channel
			if err := c.ask(cmd.Context(), http.MethodGet, path, nil, nil, &ch); err != nil {
				return err
			}
			if len(settings)+len(remove) > 0 {
				all := maps.Clone(ch.Settings)
				if all == nil {
					all = map[string]string{}
				}
				for _, name := range remove {
					if _, has := all[name]; !has {
						return &usageError{cmd, errorf("%s has no setting %q", clean(ch.Name), name)}
					}
					delete(all, name)
				}
				maps.Copy(all, settings)
				in["settings"] = all
			}
			if err := c.ask(cmd.Context(), http.MethodPatch, "/channels/"+string(ch.ID), nil, in, &ch,
				"If-Match", strconv.Quote(strconv.FormatInt(ch.Version, 10))); err != nil {
				return err
			}
			return show(a, cmd, ch, func(out io.Writer, ch api.Channel) error {
				_, err := fmt.Fprintf(out, "%s is changed. See how it fares: parley channel check %s\n", clean(ch.Name), shellQuote(ch.Name))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what people call it from now on")
	cmd.Flags().StringVar(&mode, "mode", "", "polling or webhook")
	cmd.Flags().StringVar(&country, "country", "", "region of phone numbers without prefix, such as DE; empty for none")
	cmd.Flags().StringToStringVar(&settings, "setting", nil, "setting of the adapter, name=value; the others stay")
	cmd.Flags().StringArrayVar(&remove, "remove-setting", nil, "name of a setting to take away")
	return cmd
}
