package lifecycle

import (
	"fmt"
	"time"
)

// reason says in words why a rule takes an image, which is the one with that
// rank among those that it looks at: the youngest has 1.
func (d *deciding) reason(rule Rule, i, rank int) string {
	verb := "expires"
	if rule.Action == Transition {
		verb = "archives"
	}
	if rule.Count == ImageCountMoreThan {
		return fmt.Sprintf("number %d from the youngest on, and rule %d %s all but the first %d", rank, rule.Priority, verb, rule.Number)
	}
	img, what := d.images[i], "pushed"
	switch age := d.age(rule.Count, i); {
	case rule.Count == SinceImageTransitioned:
		what = "archived"
	case !img.ActivatedAt.IsZero() && age.Equal(img.ActivatedAt):
		what = "restored"
	case rule.Count == SinceImagePulled && !img.PulledAt.IsZero():
		what = "last pulled"
	case d.policy.AgeFromTag && age.Equal(img.TaggedAt):
		what = "last tagged"
	}
	days := int(d.now.Sub(d.age(rule.Count, i)) / (24 * time.Hour))
	return fmt.Sprintf("%s %s ago, and rule %d %s what is older than %s", what, plural(days, "day"), rule.Priority, verb, plural(rule.Number, "day"))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
