use super::*;

#[test]
fn words_are_told_from_random_text() {
    for word in [
        "my-registry-credentials",
        "default-token-x7k2p",
        "oauth2-proxy",
        "identifier",
        "getPassword",
        "EOF",
        "node:18",
    ] {
        assert!(is_wordy(word), "{word}");
    }
    for random in [
        "zw0G23e",
        "DwycwFySmSbEYD",
        "qHO1TKseFOwr24nS",
        "85UK#YRx!jWDC",
    ] {
        assert!(!is_wordy(random), "{random}");
    }
}
