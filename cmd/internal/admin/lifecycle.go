package admin

import (
	"context"
	"net/http"
	"time"
)

// LifecycleQuestion asks what a lifecycle policy would do to a repository.
type LifecycleQuestion struct {
	Account    string `json:"account,omitempty"` // "" means the server's own
	Region     string `json:"region,omitempty"`  // "" means the server's own
	Repository string `json:"repository"`
	Policy     string `json:"policy"` // its text
}

// LifecycleTrial says what a lifecycle policy would do to a repository. Its JSON
// form is what `lifecycle test --json` prints.
type LifecycleTrial struct {
	Account    string    `json:"account"`
	Region     string    `json:"region"`
	Repository string    `json:"repository"`
	At         time.Time `json:"at"`
	Images     int       `json:"images"`    // that the repository has
	HasPolicy  bool      `json:"hasPolicy"` // whether it has a policy today
	// Decisions are in the order that they would be carried out.
	Decisions []LifecycleDecision `json:"decisions"`
	// Spared is what the policy of today would do and this one would not.
	Spared []LifecycleDecision `json:"spared"`
}

// LifecycleDecision is what a lifecycle policy wants with an image.
type LifecycleDecision struct {
	ImageDigest   string    `json:"imageDigest"`
	ImageTags     []string  `json:"imageTags"`
	ImagePushedAt time.Time `json:"imagePushedAt"`
	Action        string    `json:"action"` // "EXPIRE" or "TRANSITION"
	RulePriority  int       `json:"rulePriority"`
	Reason        string    `json:"reason"`
	// FollowsSubject says that the image refers to one that goes, or went.
	FollowsSubject bool `json:"followsSubject"`
	// Kept is why it is not done all the same, as package lifecycle names it; ""
	// means that it is.
	Kept string `json:"kept,omitempty"`
	// New says that the policy of today would not do it.
	New bool `json:"new"`
}

// TestLifecycle implements Keeper.
func (c *Client) TestLifecycle(ctx context.Context, q LifecycleQuestion) (t LifecycleTrial, err error) {
	return t, c.ask(ctx, http.MethodPost, "/lifecycle/test", q, &t)
}

func (h handler) testLifecycle(w http.ResponseWriter, r *http.Request) error {
	var q LifecycleQuestion
	if err := readJSON(r.Body, &q); err != nil {
		return err
	}
	t, err := h.TestLifecycle(r.Context(), q)
	if err == nil {
		writeJSON(w, http.StatusOK, t)
	}
	return err
}
