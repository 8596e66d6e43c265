package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/auth/accounts"
)

const (
	envPrefix = "BERTH_"
	// RootKeyID and RootSecret name the variables that give the root key.
	// They are no settings: a secret has no place in a file or on a command
	// line.
	RootKeyID  = "BERTH_ROOT_ACCESS_KEY_ID"
	RootSecret = "BERTH_ROOT_SECRET_ACCESS_KEY"
)

// Sources are where settings come from.
type Sources struct {
	Flags   map[string]string // by key; those that were given
	Environ []string          // as os.Environ gives it
}

// origin is where a value came from, as people are told it: "berth.yml:3:9",
// "BERTH_LISTEN", "--listen". The zero value is the default.
type origin string

func (o origin) given() bool { return o != "" }

// wrap puts the place before a complaint.
func (o origin) wrap(err error) error {
	if !o.given() {
		return err
	}
	return fmt.Errorf("%s: %w", o, err)
}

// Load reads all settings. The error names everything that is wrong, a line
// for each, with the place and, where there is one, what may have been meant.
func Load(s Sources) (*Config, error) {
	l := newLoader()
	env := l.environ(s.Environ)
	file := l.fileName(s.Flags, env)
	if file != "" {
		l.file(file)
	}
	l.variables(env)
	l.flags(s.Flags)
	l.root(env)
	if len(l.wrong) == 0 {
		l.check()
	}
	if len(l.wrong) > 0 {
		return nil, errors.Join(l.wrong...)
	}
	return l.config, nil
}

// loader gathers settings, and what is wrong with them.
type loader struct {
	config   *Config
	into     reflect.Value // the struct that the settings are members of: the Config, or a part of it
	settings []Setting
	wrong    []error
}

func newLoader() *loader {
	c := &Config{origins: map[string]origin{}}
	l := &loader{config: c, into: reflect.ValueOf(c).Elem(), settings: Settings()}
	for _, s := range l.settings {
		if !s.isList() {
			l.set(s, s.Default, "")
		}
	}
	return l
}

// set gives a setting a value; origin "" is the default's.
func (l *loader) set(s Setting, text string, from origin) {
	if err := s.set(l.into, text); err != nil {
		l.complain(from, err)
		return
	}
	l.config.origins[s.Key] = from
}

func (l *loader) complain(from origin, err error) { l.wrong = append(l.wrong, from.wrap(err)) }

// environ returns the variables that are Berth's, and complains of those that
// are one but for a slip. Others that begin with its name are not its business:
// scripts keep things of their own there (BERTH_BIN), and Kubernetes sets
// BERTH_PORT and more in every pod beside a Service that is called "berth".
func (l *loader) environ(environ []string) map[string]string {
	env := map[string]string{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, envPrefix) {
			env[name] = value
		}
	}
	known := []string{RootKeyID, RootSecret}
	for _, s := range l.settings {
		known = append(known, s.Env())
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if meant := slip(strings.TrimPrefix(name, envPrefix), known); meant != "" {
			l.complain(origin(name), fmt.Errorf("no such setting%s", mean(meant)))
		}
	}
	return env
}

// slip is the variable that was meant by a name without its prefix that is not
// one itself, or "". In short names a slip cannot be told from another word.
func slip(name string, known []string) string {
	const least, most = 5, 2 // letters of the name, wrong ones among them
	best, bestAway := "", most+1
	for _, k := range known {
		if away := distance(name, strings.TrimPrefix(k, envPrefix)); away < bestAway {
			best, bestAway = k, away
		}
	}
	if bestAway == 0 || len(name) < least {
		return ""
	}
	return best
}

func (l *loader) fileName(flags, env map[string]string) string {
	if name, ok := flags["config"]; ok {
		return name
	}
	return env[envPrefix+"CONFIG"]
}

func (l *loader) variables(env map[string]string) {
	for _, s := range l.settings {
		value, ok := env[s.Env()]
		switch {
		case !ok:
		case s.isList():
			l.complain(origin(s.Env()), fmt.Errorf("%s is a list, which only a configuration file can hold", s.Key))
		default:
			l.set(s, value, origin(s.Env()))
		}
	}
}

func (l *loader) flags(flags map[string]string) {
	for _, s := range l.settings {
		if value, ok := flags[s.Key]; ok {
			l.set(s, value, origin("--"+s.Flag()))
		}
	}
}

func (l *loader) root(env map[string]string) {
	root, err := accounts.ParseRootPair(env[RootKeyID], env[RootSecret])
	if err != nil {
		l.complain(RootKeyID+" and "+RootSecret, err)
	}
	if !root.IsZero() {
		root.Account = l.config.Account
	}
	l.config.Root = root
}

// Place is where a server of the same sources is found. Everything else that
// may be wrong with its configuration is left aside.
type Place struct {
	Data   string
	Listen string
}

// Locate reads no more of the sources than a command needs to find a server.
func Locate(s Sources) (Place, error) {
	l := newLoader()
	l.settings = slices.DeleteFunc(l.settings, func(s Setting) bool {
		return s.Key != "data" && s.Key != "listen" && s.Key != "config"
	})
	env := map[string]string{}
	for _, kv := range s.Environ {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	_, byFlag := s.Flags["data"]
	_, byEnv := env[envPrefix+"DATA"]
	if file := l.fileName(s.Flags, env); file != "" && !byFlag && !byEnv {
		if err := l.peek(file); err != nil {
			return Place{}, fmt.Errorf("%w (--data names the data folder without it)", err)
		}
	}
	l.variables(env)
	l.flags(s.Flags)
	return Place{l.config.Data, l.config.Listen}, errors.Join(l.wrong...)
}
