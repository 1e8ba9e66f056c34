//! SQL LIKE patterns, as metadata requests use them.

/// Whether `text` matches `pattern`: `%` is any run of characters, `_` is one, `\` takes the next
/// character as it is. Case matters. A trailing `\` stands for itself.
pub fn like(pattern: &str, text: &str) -> bool {
    let pattern: Vec<Piece> = pieces(pattern);
    let text: Vec<char> = text.chars().collect();
    let (mut at_pattern, mut at_text) = (0, 0);
    // Where to go on when what follows the last `%` does not match: one character further.
    let mut retry: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some(Piece::Run) => {
                retry = Some((at_pattern + 1, at_text));
                at_pattern += 1;
                continue;
            }
            Some(piece) if piece.takes(text[at_text]) => {
                at_pattern += 1;
                at_text += 1;
                continue;
            }
            _ => {}
        }
        let Some((after_run, from)) = retry else { return false };
        retry = Some((after_run, from + 1));
        at_pattern = after_run;
        at_text = from + 1;
    }
    pattern[at_pattern..].iter().all(|piece| *piece == Piece::Run)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Run,
    Any,
    Exactly(char),
}

impl Piece {
    fn takes(self, character: char) -> bool {
        match self {
            Self::Run => false,
            Self::Any => true,
            Self::Exactly(wanted) => wanted == character,
        }
    }
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let mut characters = pattern.chars();
    let mut pieces = Vec::with_capacity(pattern.len());
    while let Some(character) = characters.next() {
        pieces.push(match character {
            '%' => Piece::Run,
            '_' => Piece::Any,
            '\\' => Piece::Exactly(characters.next().unwrap_or('\\')),
            other => Piece::Exactly(other),
        });
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn patterns() {
        for (pattern, text, matches) in [
            ("", "", true),
            ("", "a", false),
            ("%", "", true),
            ("%", "anything", true),
            ("hep%", "hep_proto_1_call", true),
            ("hep\\_proto%", "hep_proto_1_call", true),
            ("hep\\_proto%", "hepXproto", false),
            ("hep_", "hep1", true),
            ("hep_", "hep", false),
            ("%call", "hep_proto_1_call", true),
            ("%call", "call_hep", false),
            ("%a%b%", "xxaxxbxx", true),
            ("%a%b%", "xxbxxaxx", false),
            ("%ab", "aab", true),
            ("100\\%", "100%", true),
            ("100\\%", "1000", false),
            ("a\\\\b", "a\\b", true),
            ("a\\", "a\\", true),
            ("Main", "main", false),
            ("_", "ü", true),
        ] {
            assert_eq!(like(pattern, text), matches, "{pattern} on {text}");
        }
    }

    #[test]
    fn many_runs_take_no_exponential_time() {
        assert!(!like(&"%a".repeat(40), &"a".repeat(39)));
        assert!(!like(&format!("{}b", "%a".repeat(30)), &"a".repeat(5000)));
    }
}
