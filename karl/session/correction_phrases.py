"""What people say when they correct an agent, and when they do not, in English: phrases by what they tell.

The names are those of `karl.session.correction_evidence`, which weighs them; `karl.session.phrases` says how
phrases are written. A slash between spaces parts one from the next.
"""

from __future__ import annotations

ENGLISH: dict[str, str] = {
    "refusal": """
        what are you doing / ^ stop stopping / ^ no|nope|nah ,|.|!|;|:
        ^ no|nope|nah i|that|thats|it|its|this|just|you|not
        ^ no|nope|nah dont|use|we|only|actually|stop|wrong|because|those|these / ^ nope|nah
        ^ stop .|!|,|$ / ^ stop it|that|this|doing|trying|adding|using
        ^ stop changing|making|guessing|ignoring|editing|writing|stopping
        ^ stop creating|running|deleting|removing|asking|touching|moving / ^ hold on
        ^ wait no|dont|that|thats|why / ^ lets pause|stop
    """,
    "prohibition": """
        this|that|it|these|those should not|never !need|matter
        this|that|it|these|those shouldnt !need|matter / we|i dont need|want that|this|these|those|any|it
        please dont !forget|worry|hesitate
        ^ dont !forget|worry|bother|need|have|know|think|understand|see|get|mind|care|want|like|you|we|really
        ^ never !forget|worry|bother|need|have|know|think|understand|see|get|mind|care|want|like|you|we|really
        ^ do not !forget|worry|bother|need|have|know|think|understand|see|get|mind|care|want|like|really
        ^ not in|on|the|a|that|like|under ?the * ,|but / ^ not in|on the * * ,|but
        ^ not like|that|this|there|here $|.|,|! / dont|never do that|this|it|so
        we|you should not|never touch|change|pollute|use|edit|modify|do|commit|delete
        we|you shouldnt|mustnt touch|change|pollute|use|edit|modify|do|commit|delete
        stop doing|trying|adding|using|changing|making|guessing|ignoring|it
        i dont|didnt want that|this|it|you|to / ^ i dont think i|we want|need|should
    """,
    "replacement": """
        a different|another|other approach|way|method|strategy|solution / ^ instead of|,|use
        instead $|.|!|, / ^ rather than / ^ use * not|instead / ^ use * , not / ^ use * * instead
        lets not / ^ leave it|that|them|this alone / ^ keep it|that|them as|the way
        change in|of plan|plans|mind / changed my mind
    """,
    "meant_otherwise": """
        i|we asked for / do|did what i asked|said|told / follow the|my instructions|plan|spec
        read my|the message|prompt|instructions|question|issue again|first|carefully / missing the point
        pay attention / like i said / not what i|we expected / i expected
        was|were|is|are|its supposed to / thats not it / thats not the point|question|problem|issue
        i|we meant / what i mean|meant is|was|by / thats not what
        not what i|we ?have asked|meant|wanted|said|had|need|want / my point is|was
        you misunderstood|misread|misinterpreted / i was asking|talking|referring
        i|we didnt|never tell|ask|say|mean|told|asked|said|want|request
        i|we did not tell|ask|say|mean|want|request
        you didnt|dont|still ?understand|get|hear me|it|this|that / not listening / isnt|wasnt what i|we
        not what i|we was|were|am|are looking|asking|searching|after
        i ?already|just|literally|clearly told|asked you / i already|literally|clearly said
        ^ i ?just said / but|because i said / as i said|told
    """,
    "wrong_place": """
        wrong file|branch|folder|directory|repo|function|test|way
        wrong version|page|path|place|one|worktree|line|module
        the|in|on not the|a right place|file|one|spot|branch|way
        not the|a right place|file|one|spot|branch|way
        belongs|belonged|belong to|in a|another|the different|other
        its|it is|that in|on worktree|branch * / the other one|file|branch|folder
    """,
    "says_wrong": """
        doesnt|dont|didnt ?even|actually exist / does|do not exist / thats|its|is the wrong
        theres|is no such|* function|method|flag|option|file|command|api|field|parameter
        no such function|method|flag|option|thing|field|parameter|api
        you made|making that|it|this|things|stuff up / hallucinated|hallucinating|hallucination
        not quite $|.|,|right|there|what|it / ^ close|almost|nearly ?, but
        doesnt|dont look|seem|sound right|correct|good
        look|looks|seem|seems|feels off|weird|strange|fishy / hack|hacky $|.|,|!|and
        that|this|thats|its|is ?just|still|completely|totally|not wrong|incorrect|inaccurate|misleading
        are|was|seems|looks|seem|look ?just|still|completely|totally|not wrong|incorrect
        are|was|seems|looks|seem|look ?just|still|completely|totally|not inaccurate|misleading
        that|this|thats|its|it|is ?is not how|the
        is|was|were|its|thats not ?quite|really|the right|correct|true
        isnt|arent|wasnt|werent ?quite|really|the right|correct|true
        i dont|do|didnt ?not think thats|that|this|its|it ?is|was|does ?quite right|correct|true
        you made|make ?a|some mistake|mistakes|error / must be a|some mistake|mistakes
        messed|screwed|got|did|done|have|gotten it|this|that|me|up|all|task ?all wrong|incorrect
        messed|screwed|got|did|done|have|gotten it|this|that|me|up|all|task ?all incorrectly|wrongly|badly
        youve|you ?have messed|screwed up / youre|are|were ?all|completely wrong|mistaken
        incorrectly|wrongly $|.|!|, / ^ wrong|incorrect $|.|!|,|: / ^ not correct|right|true|quite
        doesnt make|sound sense|right / it doesnt mean
    """,
    "contradiction": """
        ^ but / but i|we ?already thought|said|have|did|told|asked / i|we thought / but you said
        ^ you said / because|though|although you said / ^ i mean ,|its|the|it
        i|we already removed|did|have|fixed / should|would work , no / , no $|?
        ^ thats|this|that|it|they ?was|is not / ^ youre not
    """,
    "negative_question": """
        ^ doesnt|isnt|arent|wasnt|shouldnt|wont !you|matter|mind|care|hurt|know|bother|really
        ^ wouldnt|didnt|hasnt|havent|cant|couldnt !you|matter|mind|care|hurt|know|bother|really
        isnt|arent that|this|it|these|those|your|the
    """,
    "why_you": """
        why did|are|have|would|were you !think|suggest|recommend|suppose
        why do|dont|didnt|arent|havent|wouldnt you !think|suggest|recommend|suppose
        why dont|didnt|arent|havent|werent we|you / how many times
    """,
    "why": """
        ^ why are|is|does|do|did|were|was the|these|those|this|that|it
        ^ why not|so|doesnt|isnt|arent|dont / how does|do|would|can * * ?solve|help|work
    """,
    "doubt": """
        did you make that|this|it up / are you certain|positive / you sure / how do you know
        prove it|that / show me the|your output|proof|evidence
        are|were you ?really|absolutely|quite|100 sure / did|have you even|actually|really
        did|have you run|ran|test|tested|check|checked|verify|verified|try|tried|compile|compiled|build
        does|do|is it|this|that|they really|actually / ^ ?can|could ?you|we recheck|re-check|double-check
        can|could|please you|we|double double|check check|again / double check|check
        check * again|properly / look again / im not sold|sure|convinced this|that|it|of|about
    """,
    "still_fails": """
        why is|does|are|do it|this|that|they still / i|we still see|get|cant|dont|cannot
        i|we still have|had the|this|that|an|a|no
        keeps|kept failing|crashing|happening|getting|showing|breaking|throwing|returning
        still failing|fails|fail|broken|wrong|crashes|crashing|not
        still doesnt|isnt|dont|cant|wont|didnt|throws|errors
        still getting|get|gets|see|seeing the|that|this|an|a|same|error|errors
        still shows|showing|has|have|happens|happening the|that|this|an|a|same|error|errors
        still the same|wrong / still happening|happens
        same error|errors|issue|problem|result|failure|bug|thing $|.|!|,|again|as|?|here
        failing|failed|fails|broke|broken|happened|crashed|wrong again / just happened again
        no luck|change|difference|effect
    """,
    "fails": """
        is|are ?now|just|completely|still|all blank|empty|white|gone
        nothing changed|happens|happened|works|shows|showed|appears / does|did|doing nothing
        doesnt|didnt do anything / blank|white|empty page|screen|window|result|output
        throws|throwing|threw ?me ?a|an 404|500|403|401|502|error|exception|errors
        returns|returned|gives|gave ?me ?a|an 404|500|403|401|502|error|exception|errors
        get|got|getting ?a|an 404|500|403|401|502
        it|app|server|page|test crashes|crashed|crashing|hangs|breaks|dies
        script|build|program|that|this crashes|crashed|crashing|hangs|breaks|dies
        is|are|has|have ?now gone|disappeared|vanished
        look|looks bad|terrible|awful|ugly|broken|horrible / not good enough|yet / worse than|now|again
        ^ it|that|this|they|tests|test|build doesnt|dont|didnt|isnt|cant|wont work|help|fix|compile
        ^ it|that|this|they|tests|test|build doesnt|dont|didnt|isnt|cant|wont build|solve|change|do|pass
        doesnt|dont|didnt|not ?seem ?to ?correctly|properly|really work|working|compile|build|update
        doesnt|dont|didnt|not ?seem ?to ?correctly|properly|really show|appear|render|load|color
        it|this|that didnt|doesnt|does|did ?not fix|solve|help
        is|are|its|now|seems|got|was|completely ?now|just broken
        it|that|this broke|breaks|crashes|crashed / you broke
        there|theres is|are|s a|an|another|some ?still bug|error|issue|problem
        theres a|an|another bug|error|issue|problem / has a|an ?performance bug|issue|problem
        im|i ?still not|dont|cant|cannot|do|can ?not seeing|see the|any|your|it|that|a
        i|im get|got|getting ?an|the|this|a|some ?following|weird|new error|errors|failures
        i|im see|seeing|having ?an|the|this|a|some ?following|weird|new error|errors|failures
        i|im get|got|getting ?an|the|this|a|some ?following|weird|new failure|issue|issues
        i|im see|seeing|having ?an|the|this|a|some ?following|weird|new failure|issue|issues
        ci|lint|linting|build|tests ?run|is|are|just|still failed|fails|failing|fail|broke|red
        test|pipeline|pr|job|run|workflow ?run|is|are|just|still failed|fails|failing|fail|broke|red
        tests|test are|is failing / worked before|previously|earlier|yesterday / had to kill
        not coming through / uh oh / never captured|works|gets|triggers|updates
        not clean|right|aligned|visible|readable / barfed|crashed|hangs|hung / high|medium|low severity
    """,
    "to_fix": """
        fix ?the|that|this|these|all|those ?failing|lint|linting tests|test|errors|error|failures
        fix ?the|that|this|these|all|those ?ci|build|test|broken tests|test|errors|error|failures
        fix ?the|that|this|these|all|those ?failing|lint|linting issues|issue|linting|lint|ci|build
        fix ?the|that|this|these|all|those ?ci|build|test|broken issues|issue|linting|lint|ci|build
        address these|the|those ?failing|testing|test failures|errors
        number|lot|bunch of errors|failures|issues
    """,
    "left_out": """
        you only did|changed|fixed|updated|added|implemented|tested|checked
        not done|finished|complete|implemented ?yet|$|. / you|u forgot|forget|missed
        you forgot|missed|skipped|ignored|overlooked
        you didnt|havent !need|to|have|already|a|the|you|i|we / you left out
        you did|have not !need|to|have|already|a|the|you|i|we / thats just|only ?1|one|part|half|the|for
        that was|is just|only ?1|one|part|half|the / only part|half of / what about the other|rest
        while this|that|it solves|fixes|works|helps / i cant|dont|cannot|couldnt see|find any|the|where
        where is|are the|my / ^ finish it|the|what / not all of / is|are|was|were ?still ?also missing
        it|this|that|they|which has|have no|not !idea|clue
    """,
    "too_much": """
        unrelated change|changes|files|file|edits|stuff
        overcomplicating|overcomplicated|over-complicated|overthinking|over-thinking
        more than i|we asked|wanted|needed / i only asked|wanted|meant|said|need|care / i didnt ask
        thats|its|this|is|way|bit|far|^ too much|complicated|complex|verbose|long|many|big
        ^ too much|complicated|complex|verbose|long|many
        redundant|overkill|overengineered|over-engineered|superfluous
        seems|seem|is|are|isnt|not unnecessary|needed|necessary|relevant / unnecessary
        you werent|arent asked|supposed
        shouldnt|should be|not|have ?be ?been changed|touched|modified|removed|deleted
        theres|is no reason|need to have|for / out of scope / only the * should
    """,
    "your_doing": """
        ^ you ?just removed|deleted|renamed|overwrote|dropped|lost|rewrote|reverted|changed|broke
        you ?just|also|even|have|had|again removed|deleted|renamed|overwrote
        you ?just|also|even|have|had|again dropped|lost|rewrote|reverted|touched
        you ?just|also|even|have|had changed|added|created|modified|replaced the|a|all|everything|too
        you ?just|also|even|have|had changed|added unrelated|way|it|this|that|my
        you ?just|also|even|have|had created|modified|replaced unrelated|way|it|this|that|my
        what|where happened|did|went|go|is to|the|my ?the|my * go|gone
    """,
    "taken_back": """
        undo|revert everything|all|both / bring back|it the|my|it|that|back
        restore the|my|it ?original|previous|old|as|to / go back to the|how|what|my
        back to the|how ?way|original|previous|old|it
        undo|revert|rollback that|this|it|those|these|your|my|all|what|last
        undo|revert the|your ?last change|changes|commit|edit|edits / roll back that|this|it|your|the
        put|change|move|set it|that|them back
        i|ive|i've ?have ?just removed|reverted|undid|undone the|your|it|that|those|this
        i|ive|i've ?have ?just discarded|rolled|restored|deleted the|your|it|that|those|this
        ^ undo|revert|rollback ?please|now $|.|! / git restore|revert
    """,
    "anger": """
        jesus|christ|omg|sigh|unacceptable|unbelievable|pathetic|stupid|idiot|idiotic|dumb|sucks|awful
        for gods|fucks|christs sake / waste|wasting ?of ?my time|tokens|money / in|around circles
        tired|sick of / frustrating|frustrated|annoying|annoyed / seriously ? / just do what i
        wtf|ffs|omfg|wth|goddamn|dammit|damnit|goddammit|shit / what the hell|fuck|heck|f
        fucking|bullshit / this|that|thats|its is|such|a shit|garbage|crap|useless
        this|that|thats|its is|such|a ridiculous|terrible|horrible|trash|nonsense
        are you kidding|serious|stupid|blind|even
        for the third|fourth|last|umpteenth|100th|hundredth time / what are you doing / stop stopping
        you keep|always doing|breaking|changing|ignoring|forgetting|adding|making|removing / if we cant
        come on / again you
    """,
    "rule": """
        ^ again , / remember|note ?that we|you always|never|must|dont
        according to|per claude.md|agents.md|the guidelines|rules|conventions
        in this repo|repository|project|codebase we|you
        we ?always|only|usually use|prefer|put|keep|call|write * ?here|in|for|not
        our convention|conventions|style|rule|rules|guidelines is|are|say|says / i remind you
        ^ never|always ask|use|run|check|do|commit|push|add|write|put|touch / from now on / in ?the future
        we never|always|dont use|do|want|need / are|is|must|should never|always / not claude|you
        main directive / as agreed|discussed|documented
    """,
    "again": """
        ^ ?can|could|lets ?you|we ?just ?now try|do|run ?it|this|that ?all again|agian
        ^ ?can|could|lets ?you|we ?just ?now try|do|run ?it|this|that once more
        ^ ?can|could|lets ?you|we ?just ?now try|do|run ?it|this|that one more time
        ^ give it another try|go|shot / ^ have another try|go|shot
        ^ ?can|could|lets ?you|we ?just ?now redo|retry|re-do|re-try|rerun
        ^ ?can|could|lets ?you|we ?just ?now start over|again
        ^ ?can|could|lets ?you|we ?just ?now start from scratch / ^ again|agian $|.|! / ^ once more $|.|!
        ^ one more time $|.|!
    """,
    "approval": """
        thats it|all|perfect|great|fine|good|better|awesome $|.|!|, / ^ thats right|correct / makes sense
        good job|work|catch|point|call|idea / fair enough|point / much|way better / love it|this|that
        ^ yes|yep|yup|sure|great|good|perfect !but|however
        ^ nice|thanks|thank|thx|cool|awesome|excellent|lgtm !but|however
        ^ yes|yep|yup|yeah|sure|great|good|perfect|nice|thanks|thx|cool|awesome|excellent|lgtm $
        ^ agreed|correct|exactly / ^ yeah !but|no
        ^ ok|okay $|.|!|great|thanks|good|perfect|cool|commit|continue|push|do|go|next|now
        ^ ok|okay , lets|commit|continue|push|do|go|great|good|thanks|next|now
        looks|sounds good|great|fine|right|perfect / works now|great|fine|well|perfectly
        ^ no|nope problem|problems|worries|worry|need|rush|issue|issues|objection|objections|idea|more
        ^ no ,|thats ?thats ?it ?is fine|all|it|good|ok|okay|great|perfect / success / very good|nice
    """,
    "go_on": """
        make it continue / continue|proceed $|.|!|please|from|with / ^ continue|proceed|resume
        ^ go ahead|on|for|with
        ^ commit|push|ship|merge|deploy|publish|release ?and|this|it|changes|staged|change
        ^ do it|that|them|both|all / ^ keep going / ^ fix|apply both|all|it|that|them $|.|! / ^ next
        ^ carry on / ^ ?yes|ok|okay|and ?, ?then commit|push
    """,
    "new_work": """
        ^ ?can|could|please|lets|would ?you|we|i ?also|now|then add|create|implement|write
        ^ ?can|could|please|lets|would ?you|we|i ?also|now|then make|open|update|build|set
        ^ ?can|could|please|lets|would ?you|we|i ?also|now|then explain|summarize|show|list
        ^ ?can|could|please|lets|would ?you|we|i ?also|now|then describe|review|give|help|move
        ^ ?can|could|please|lets|would ?you|we|i ?also|now|then generate|rename|convert
        ^ ?can|could|please|lets|would ?you|we|i ?also|now|then investigate|analyze|analyse|evaluate
        ^ ?can|could|please|lets|would ?you|we|i ?also|now|then document|log|delegate|prepare
        ^ ?can|could|please|lets|would ?you|we|i ?also|now|then draft|install|start|rework
        ^ what|how|where|which|when|who|is|does|should|could|would !it|you|this|many|i
        ^ do we|i|you|they !have|even / ^ i|we|id|i'd want|would|like|need to|like / ^ one more|last
        ^ now|also|next|finally|additionally|btw / ^ in addition / ^ what about|if|do / ^ question|q :
        ^ next one|up|, / ^ implement the following plan
        ^ investigate|research|study|read|evaluate|execute|save|log|rework
    """,
    "own_slip": """
        ^ sorry|oops|whoops ?, i|ill|im ?should|have|had|just meant|forgot|mistyped|didnt
        ^ sorry|oops|whoops ?, i|ill|im ?should|have|had|just havent|pasted|typed|wanted|should
        ^ sorry|oops|whoops ?, wrong|version|typo|ignore|scratch|my / ^ oops|whoops $|.|!
        my bad|mistake|fault / never mind / nevermind / ignore the|my last|previous message
        ignore last message / wrong chat|window|copy|paste
        i forgot|havent|didnt supplied|supply|frame|specify|mention|attach|paste|follow
        i was not|really really|following / ihavent
    """,
}
