package lifecycle

import (
	"fmt"
	"time"
)

// reason says in words why a rule takes an image.
func (d *deciding) reason(rule Rule, i int) string {
	verb := "expires"
	if rule.Action == Transition {
		verb = "archives"
	}
	if rule.Count == ImageCountMoreThan {
		return fmt.Sprintf("not among the %s of its kind that rule %d leaves, which %s the rest", plural(rule.Number, "youngest image"), rule.Priority, verb)
	}
	img, what := d.images[i], "pushed"
	switch age := d.age(rule, i); {
	case rule.Count == SinceImageTransitioned:
		what = "archived"
	case !img.ActivatedAt.IsZero() && age.Equal(img.ActivatedAt):
		what = "restored"
	case rule.Count == SinceImagePulled && !img.PulledAt.IsZero():
		what = "last pulled"
	case d.policy.AgeFromTag && age.Equal(img.TaggedAt):
		what = "last tagged"
	}
	days := int(d.now.Sub(d.age(rule, i)) / (24 * time.Hour))
	return fmt.Sprintf("%s %s ago, and rule %d %s what is older than %s", what, plural(days, "day"), rule.Priority, verb, plural(rule.Number, "day"))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
